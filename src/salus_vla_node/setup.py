from setuptools import find_packages, setup

package_name = "salus_vla_node"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={
        # The policies that ship with the package, one folder each.
        "salus_vla_node.backends.embedded": ["weights/**/*.json", "weights/**/*.safetensors"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="Runs a vision-language-action policy and publishes its action and signals.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "vla_node = salus_vla_node.vla_node:main",
            "train_policy = salus_vla_node.training.train_policy:main",
            "study_policy = salus_vla_node.training.study_policy:main",
        ],
    },
)
