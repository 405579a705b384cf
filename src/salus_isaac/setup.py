# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = "salus_isaac"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={
        "salus_isaac": ["*.json", "interface.yaml"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    python_requires=">=3.11",
    zip_safe=False,
    url="https://salus.invalid",
    author="SALUS maintainers",
    author_email="maintainers@salus.invalid",
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="Bridge to Isaac Sim (ROS 2 extension); experimental: it has not run on a GPU.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "isaac_world = salus_isaac.main:main",
            "check_isaac_graph = salus_isaac.check_main:main",
        ],
    },
)
