from setuptools import find_packages, setup

setup(
    name="liquid_nav",
    version="0.1.0",
    packages=[*find_packages(include=["liquid_nav", "liquid_nav.*"]), "liquid_nav_sim"],
    package_dir={"liquid_nav_sim": "sim"},
)
