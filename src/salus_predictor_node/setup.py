from setuptools import find_packages, setup

package_name = "salus_predictor_node"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={
        # The predictors that ship with the package, one folder each.
        "salus_predictor_node": ["weights/*/*.json", "weights/*/*.safetensors"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=[
        "setuptools",
        "numpy",
        "torch",
        "PyYAML",
        "tqdm",
        "matplotlib",
        "rosbags",
        "scikit-learn",
    ],
    zip_safe=False,
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="Forecasts of failures from the signals of a VLA policy.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "predictor_node = salus_predictor_node.predictor_node:main",
            "ablate = salus_predictor_node.commands.ablate:main",
            "compare = salus_predictor_node.commands.compare:main",
            "evaluate = salus_predictor_node.commands.evaluate:main",
            "replay = salus_predictor_node.commands.replay:main",
            "train = salus_predictor_node.commands.train:main",
        ],
    },
)
