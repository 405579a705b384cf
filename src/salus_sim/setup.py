from setuptools import find_packages, setup

package_name = "salus_sim"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={
        package_name: ["scene.yaml", "interface.yaml"],
        f"{package_name}.isaac": ["*.json"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools", "mujoco", "numpy", "PyYAML"],
    zip_safe=False,
    maintainer="SALUS maintainers",
    maintainer_email="maintainers@salus.invalid",
    description="The embedded world, its referee and the node that runs episodes.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "world_node = salus_sim.nodes.world_node:main",
            "referee_node = salus_sim.nodes.referee_node:main",
            "episode_runner = salus_sim.nodes.episode_runner:main",
            "isaac_world = salus_sim.isaac.main:main",
            "check_isaac_graph = salus_sim.isaac.check_main:main",
        ],
    },
)
