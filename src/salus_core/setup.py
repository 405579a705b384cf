from setuptools import find_packages, setup

package_name = "salus_core"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=[
        "setuptools",
        "numpy",
        "zarr>=3.1,<4",
        "numcodecs>=0.16",
        "google-crc32c",
        "scikit-learn",
        "scipy",
        "torch",
        "safetensors",
        "PyYAML",
    ],
    zip_safe=True,
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="What SALUS computes, free of ROS: signals, failures, labels, the episode store.",
    license="Apache-2.0",
)
