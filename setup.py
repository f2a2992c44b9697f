"""Find the packages, whose directories need not bear their names; metadata is in setup.cfg."""

from setuptools import find_packages, setup

PACKAGE_DIRS = {"liquid_nav": "liquid_nav", "liquid_nav_sim": "sim", "liquid_nav_models": "models"}

setup(
    packages=[
        package
        for name, directory in PACKAGE_DIRS.items()
        for package in [name, *(f"{name}.{sub}" for sub in find_packages(directory))]
    ],
    package_dir=PACKAGE_DIRS,
)
