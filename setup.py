"""Find the packages, build the native kernel and compile the simulator's inner loop.

Metadata is in setup.cfg.
"""

import shutil
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

# Packages whose directories do not bear their names; `liquid_nav` is not among them, since colcon
# refuses a package mapped to its own name.
RENAMED = {"liquid_nav_sim": "sim", "liquid_nav_models": "models"}

NATIVE = Path("liquid_nav/onboard/native")

# Optional: without a compiler the package installs all the same, and its cells run on torch alone.
# The sources take care of instruction sets; no -ffast-math, which would break the laws of NaN.
KERNEL = Extension(
    "liquid_nav.onboard.native._kernel",
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

# Likewise optional: without it the simulator renders by PyBullet alone. No fused products, so that
# pixels do not depend on the machine.
RAYCAST = Extension(
    "liquid_nav_sim.render._raycast",
    sources=["sim/render/native/raycast.cpp"],
    language="c++",
    extra_compile_args=[
        "-std=c++17",
        "-O3",
        "-g0",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-ffp-contract=off",
        "-fvisibility=hidden",
    ],
    optional=True,
)

# What runs at every physics step. Compiled, it gives the same numbers several times faster; where
# mypyc or a compiler is missing, Python runs the same sources.
INNER_LOOP = (
    "normals",
    "rotation",
    "sensors.clock",
    "sensors.imu",
    "sensors.sources",
    "vehicle.autopilot",
    "vehicle.battery",
    "vehicle.body",
    "vehicle.mixer",
    "vehicle.rotors",
    "vehicle.velocity_loops",
)
COMPILED = "liquid_nav_sim.compiled__mypyc"


def compiled_modules() -> list[Extension]:
    """The modules of the inner loop as extensions, by mypyc: none without it."""
    try:
        from mypyc.build import mypycify
    except ImportError:
        print("mypyc is not installed: Python runs the simulator's inner loop", file=sys.stderr)
        return []
    # mypy goes by the names of directories, and sim/ does not bear its package's.
    build = Path("build/compiled")
    package = build / "liquid_nav_sim"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree("sim", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    sources = [str(package / f"{name.replace('.', '/')}.py") for name in INNER_LOOP]
    checks = ("--config-file=", f"--cache-dir={build / 'cache'}", "--ignore-missing-imports")
    try:
        extensions = mypycify(
            [*checks, "--follow-imports=silent", *sources],
            target_dir=str(build / "c"),
            separate=[(sources, COMPILED.removesuffix("__mypyc"))],
            debug_level="0",
        )
    except SystemExit:
        print("mypyc failed: Python runs the simulator's inner loop", file=sys.stderr)
        return []
    for extension in extensions:
        extension.optional = True
        # Numbers must not depend on which instructions a machine has; nor the build on warnings.
        options = [option for option in extension.extra_compile_args if option != "-Werror"]
        extension.extra_compile_args = [*options, "-ffp-contract=off"]
    return extensions


class BuildExtensions(build_ext):
    """Has mypyc write the sources of what it compiles, when something is built and not before."""

    def finalize_options(self) -> None:
        """Add the modules that mypyc compiles."""
        if self.distribution.ext_modules == [KERNEL, RAYCAST]:
            self.distribution.ext_modules = [KERNEL, RAYCAST, *compiled_modules()]
        super().finalize_options()

    def build_extension(self, extension: Extension) -> None:
        """Build one, but no module whose code failed to build: it could not be imported."""
        needs_code = extension.name.removeprefix("liquid_nav_sim.") in INNER_LOOP
        if needs_code and not Path(self.get_ext_fullpath(COMPILED)).exists():
            raise CompileError(f"{COMPILED} was not built")
        super().build_extension(extension)


setup(
    packages=[
        *find_packages(include=["liquid_nav", "liquid_nav.*"]),
        *RENAMED,
        *(f"{name}.{sub}" for name, path in RENAMED.items() for sub in find_packages(path)),
    ],
    package_dir=RENAMED,
    ext_modules=[KERNEL, RAYCAST],
    cmdclass={"build_ext": BuildExtensions},
    # Here, since colcon cannot read back the object that setuptools makes of it in setup.cfg.
    python_requires=">=3.10",
)
