"""Find the packages and build the native kernel; metadata is in setup.cfg."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

# Packages whose directories do not bear their names; `liquid_nav` is not among them, since colcon
# refuses a package mapped to its own name.
RENAMED = {"liquid_nav_sim": "sim", "liquid_nav_models": "models"}

NATIVE = Path("liquid_nav/liquid/native")

# Optional: without a compiler the package installs all the same, and its cells run on torch alone.
# The sources take care of instruction sets; no -ffast-math, which would break the laws of NaN.
KERNEL = Extension(
    "liquid_nav.liquid.native._kernel",
    sources=[str(NATIVE / f"{name}.cpp") for name in ("baseline", "avx2", "avx512")],
    depends=[str(NATIVE / f"{name}.h") for name in ("kernel", "simd", "ltc", "flow", "encoder")],
    language="c++",
    extra_compile_args=[
        "-std=c++17",
        "-O2",
        "-g0",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-ffp-contract=fast",
        "-fvisibility=hidden",
        "-Wno-psabi",
        # Of the intrinsics in GCC 12 itself.
        "-Wno-maybe-uninitialized",
    ],
    optional=True,
)

setup(
    packages=[
        *find_packages(include=["liquid_nav", "liquid_nav.*"]),
        *RENAMED,
        *(f"{name}.{sub}" for name, path in RENAMED.items() for sub in find_packages(path)),
    ],
    package_dir=RENAMED,
    ext_modules=[KERNEL],
    # Here, since colcon cannot read back the object that setuptools makes of it in setup.cfg.
    python_requires=">=3.10",
)
