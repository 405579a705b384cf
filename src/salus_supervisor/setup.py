# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = "salus_supervisor"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
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
    description="Decides what is executed of what a VLA policy proposes.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "controller_node = salus_supervisor.controller_node:main",
            "supervisor_node = salus_supervisor.supervisor_node:main",
            "study_prevention = salus_studies.prevention_study.study_prevention:main",
        ],
    },
)
