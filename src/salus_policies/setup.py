# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = "salus_policies"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={
        "salus_policies.backends.embedded": ["weights/**/*.json", "weights/**/*.safetensors"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=[
        "numpy",
        "pillow",
        "safetensors",
        "salus_core",
        "scipy",
    ],
    extras_require={
        "embedded": ["torch"],
    },
    python_requires=">=3.11",
    zip_safe=False,
    url="https://salus.invalid",
    author="SALUS maintainers",
    author_email="maintainers@salus.invalid",
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="Policy backends, and the twelve signals of a policy's own state; free of ROS.",
    license="Apache-2.0",
)
