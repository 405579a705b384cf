# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = "salus_sim"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={
        "salus_sim": ["scene.yaml"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=[
        "mujoco",
        "numpy",
        "salus_core",
    ],
    python_requires=">=3.11",
    zip_safe=False,
    url="https://salus.invalid",
    author="SALUS maintainers",
    author_email="maintainers@salus.invalid",
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="The embedded environment (MuJoCo), its outcome detector, its episode runner.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "world_node = salus_sim.nodes.world_node:main",
            "referee_node = salus_sim.nodes.referee_node:main",
            "episode_runner = salus_sim.nodes.episode_runner:main",
        ],
    },
)
