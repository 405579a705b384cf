# SPDX-License-Identifier: Apache-2.0
from glob import glob

from setuptools import find_packages, setup

package_name = "salus"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        (f"share/{package_name}/launch", glob("launch/*.launch.py")),
        (
            f"share/{package_name}/config",
            glob("config/*.[yux]*"),
        ),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    url="https://salus.invalid",
    author="SALUS maintainers",
    author_email="maintainers@salus.invalid",
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="Bring-up of SALUS: launch files, parameters, system tests.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "dataset = salus_studies.collection.dataset:main",
        ],
    },
)
