# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = "salus_core"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["report/schema.json", "prevention/tables/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=[
        "numpy",
        "pillow",
        "zarr>=3.1,<4",
        "numcodecs>=0.16",
        "google-crc32c",
        "safetensors",
        "scikit-learn",
        "scipy",
        "PyYAML",
        "tqdm",
        "matplotlib",
    ],
    extras_require={
        "predictors": ["torch"],
        "bags": ["lz4", "mcap", "rosbags", "zstandard"],
    },
    python_requires=">=3.11",
    zip_safe=False,
    url="https://salus.invalid",
    author="SALUS maintainers",
    author_email="maintainers@salus.invalid",
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="The science of SALUS, free of ROS: signals, episodes, predictors, evaluation.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "salus = salus_core.cli:main",
        ],
        "salus.commands": [
            "ablate = salus_core.commands.ablate:main",
            "calibrate = salus_core.commands.calibrate:main",
            "compare = salus_core.commands.compare:main",
            "evaluate = salus_core.commands.evaluate:main",
            "improve = salus_core.commands.improve:main",
            "inspect = salus_core.commands.inspect:main",
            "label = salus_core.commands.label:main",
            "replay = salus_core.commands.replay:main",
            "train = salus_core.commands.train:main",
            "train_scene_head = salus_core.commands.train_scene_head:main",
            "verify = salus_core.commands.verify:main",
        ],
    },
)
