# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = "salus_predictor_node"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={
        "salus_predictor_node": ["weights/*/*.json", "weights/*/*.safetensors"],
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
    description="Forecasts of failures from the signals of a VLA policy.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "predictor_node = salus_predictor_node.predictor_node:main",
            "ablate = salus_core.commands.ablate:main",
            "calibrate = salus_core.commands.calibrate:main",
            "compare = salus_core.commands.compare:main",
            "evaluate = salus_core.commands.evaluate:main",
            "improve = salus_core.commands.improve:main",
            "replay = salus_core.commands.replay:main",
            "train = salus_core.commands.train:main",
            "train_scene_head = salus_core.commands.train_scene_head:main",
        ],
    },
)
