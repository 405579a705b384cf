# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = "salus_studies"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=[
        "salus_core[predictors]",
        "salus_policies[embedded]",
        "salus_sim",
        "scipy",
        "tqdm",
        "matplotlib",
    ],
    python_requires=">=3.11",
    zip_safe=False,
    url="https://salus.invalid",
    author="SALUS maintainers",
    author_email="maintainers@salus.invalid",
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="Data collection, policy training and evaluation in the embedded environment.",
    license="Apache-2.0",
    entry_points={
        "salus.commands": [
            "dataset = salus_studies.collection.dataset:main",
            "train_policy = salus_studies.policy_training.train_policy:main",
            "study_prevention = salus_studies.prevention_study.study_prevention:main",
            "study_policy = salus_studies.policy_evaluation.study_policy:main",
        ],
    },
)
