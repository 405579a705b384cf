# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = "salus_recorder"

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
    description="Records episodes to Zarr.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "recorder_node = salus_recorder.recorder_node:main",
            "episode_label_node = salus_recorder.episode_label_node:main",
            "inspect = salus_core.commands.inspect:main",
            "label = salus_core.commands.label:main",
            "verify = salus_core.commands.verify:main",
        ],
    },
)
