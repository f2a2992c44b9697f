"""Find the packages, whose directories need not bear their names; metadata is in setup.cfg."""

from setuptools import find_packages, setup

# `liquid_nav` is not among them: colcon refuses a package mapped to its own name.
RENAMED = {"liquid_nav_sim": "sim", "liquid_nav_models": "models"}

setup(
    packages=[
        *find_packages(include=["liquid_nav", "liquid_nav.*"]),
        *RENAMED,
        *(f"{name}.{sub}" for name, path in RENAMED.items() for sub in find_packages(path)),
    ],
    package_dir=RENAMED,
    # Here, since colcon cannot read back the object that setuptools makes of it in setup.cfg.
    python_requires=">=3.10",
)
