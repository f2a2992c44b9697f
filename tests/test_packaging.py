"""What is installed, what it declares, and who imports whom."""

import ast
import configparser
import importlib.resources
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata, requires, version
from pathlib import Path
from xml.etree import ElementTree

import pytest

import liquid_nav

ROOT = Path(__file__).parents[1]
PACKAGES = {"liquid_nav": ROOT / "liquid_nav", "liquid_nav_sim": ROOT / "sim"}
EXTRAS = {
    *("sim", "train", "cluster", "ros", "mavlink", "replay", "view", "viz", "ode", "bench"),
    *("test", "dev"),
}

NOT_ABOARD = {
    "av",
    "gymnasium",
    "liquid_nav_sim",
    "matplotlib",
    "ncps",
    "pybullet",
    "pymavlink",
    "rclpy",
    "scipy",
    "tensorboard",
    "torchdiffeq",
}


def test_version_has_a_single_source() -> None:
    assert version("liquid_nav") == liquid_nav.__version__
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == liquid_nav.__version__
    texts = [ROOT / name for name in ("setup.py", "setup.cfg", "pyproject.toml")]
    assert [path.name for path in texts if liquid_nav.__version__ in path.read_text()] == []


def test_package_manifest_agrees_with_the_metadata() -> None:
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    declared = metadata("liquid_nav")
    maintainer = manifest.find("maintainer")
    assert manifest.get("format") == "3"
    # Setuptools before 69 spells the name with a hyphen.
    assert manifest.findtext("name") == declared["Name"].replace("-", "_") == "liquid_nav"
    assert manifest.findtext("license") == "Apache-2.0"
    assert manifest.findtext("export/build_type") == "ament_python"
    assert maintainer is not None
    assert maintainer.get("email") in declared["Maintainer-email"]
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_extras_are_declared_and_the_core_is_light() -> None:
    assert set(metadata("liquid_nav").get_all("Provides-Extra") or ()) == EXTRAS
    core = {
        re.split(r"[^\w-]", requirement, maxsplit=1)[0]
        for requirement in requires("liquid_nav") or ()
        if "extra ==" not in requirement
    }
    assert core == {"numpy", "opencv-python-headless", "rich", "safetensors", "torch", "tyro"}


def test_constraints_are_exact_and_cover_what_is_required() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#"]
    exact = re.compile(r'([\w.-]+)==\d[\w.]*( ; python_version (>=|<) "3\.11")?')
    matches = [exact.fullmatch(line) for line in lines]
    assert [line for line, match in zip(lines, matches, strict=True) if match is None] == []
    pinned = {match[1].lower() for match in matches if match}
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    wanted = "\n".join(
        [
            config["options"]["install_requires"],
            *(
                extras[e]
                for e in ("sim", "train", "mavlink", "replay", "view", "viz", "ode", "test", "dev")
            ),
        ]
    )
    names = {re.split(r"[^\w.-]", line)[0].lower() for line in wanted.split()}
    assert names <= pinned


def test_shipped_models_are_found_by_the_package_that_holds_them() -> None:
    shipped = Path(str(importlib.resources.files("liquid_nav_models")))
    assert (shipped / "__init__.py").read_bytes() == (ROOT / "models/__init__.py").read_bytes()


def test_a_build_ships_the_files_that_are_not_code(tmp_path: Path) -> None:
    """Type checkers look for `py.typed`; the simulator needs its vehicles."""
    subprocess.run(
        [sys.executable, "setup.py", "build_py", "--build-lib", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for package, root in PACKAGES.items():
        assert (tmp_path / package / "py.typed").is_file()
        data = {path.relative_to(root) for path in root.rglob("*.toml")}
        built = tmp_path / package
        assert data == {path.relative_to(built) for path in built.rglob("*.toml")}


NATIVE = {"liquid_nav.onboard.native._kernel", "liquid_nav_sim.render._raycast"}


def build_extensions(tmp_path: Path, **environment: str) -> set[str]:
    """Build what is compiled, below `tmp_path`; names of what came out, their package before."""
    where = ("--build-temp", tmp_path / "temp", "--build-lib", tmp_path / "lib")
    subprocess.run(
        [sys.executable, "setup.py", "build_ext", *where],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    made = [path for path in (tmp_path / "lib").rglob("*") if path.is_file()]
    root = tmp_path / "lib"
    names = (".".join(path.relative_to(root).parts) for path in made)
    return {re.sub(r"(\.cpython-[\w-]*)?\.(so|pyd)$", "", name) for name in names}


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_the_extensions_are_built_where_there_is_a_compiler(tmp_path: Path) -> None:
    compiled = {f"liquid_nav_sim.{name}" for name in (*inner_loop(), "compiled__mypyc")}
    if importlib.util.find_spec("mypyc") is None:  # It comes with the extra dev.
        compiled = set()
    assert build_extensions(tmp_path) == {*compiled, *NATIVE}


def test_without_a_compiler_the_package_builds_all_the_same(tmp_path: Path) -> None:
    assert build_extensions(tmp_path, CC="false", CXX="false") == set()


def test_what_is_compiled_is_as_new_as_its_source() -> None:
    """A compiled module hides its source: an edit that is not compiled would be flown by nobody."""
    for name in inner_loop():
        source = ROOT / f"sim/{name.replace('.', '/')}.py"
        for module in source.parent.glob(f"{source.stem}.*.so"):
            assert module.stat().st_mtime >= source.stat().st_mtime, f"run make: {source} is newer"


def test_make_compiles_what_setup_compiles() -> None:
    (line,) = re.findall(
        r"^INNER_LOOP := .*,((?:.*\\\n)*.*)\)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert tuple(line.replace("\\\n", "").replace("/", ".").split()) == inner_loop()


def inner_loop() -> tuple[str, ...]:
    """What setup.py has compiled by mypyc."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INNER_LOOP":
            return tuple(ast.literal_eval(node.value))
    raise AssertionError("setup.py names no INNER_LOOP")


def test_the_sources_of_the_native_kernel_are_declared() -> None:
    files = (ROOT / "liquid_nav/onboard/native").iterdir()
    sources = {file.stem for file in files if file.suffix in (".cpp", ".h")}
    text = (ROOT / "setup.py").read_text()
    assert {name for name in sources if f'"{name}"' not in text} == set()


def test_every_directory_of_code_is_a_package() -> None:
    """An editable install forgives a missing `__init__.py`; a wheel does not."""
    directories = {file.parent for root in PACKAGES.values() for file in root.rglob("*.py")}
    assert [str(d) for d in sorted(directories) if not (d / "__init__.py").is_file()] == []


def test_the_files_of_the_report_s_page_are_shipped(tmp_path: Path) -> None:
    """An editable install finds files that a wheel lacks."""
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    page = Path("liquid_nav/replay/report/page")
    shipped = {file.name for file in (tmp_path / page).iterdir()}
    assert shipped == {file.name for file in (ROOT / page).iterdir()} != set()


@pytest.mark.parametrize(
    "module",
    [
        "liquid_nav",
        "liquid_nav.events",
        "liquid_nav.onboard",
        "liquid_nav.controller",
        "liquid_nav.messages.camera",
        "liquid_nav.replay.run",
    ],
)
def test_what_flies_imports_neither_simulator_nor_torch(module: str) -> None:
    script = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/"
    )
    assert "liquid_nav" in run.stdout.split()
    assert (NOT_ABOARD | {"torch"}).intersection(run.stdout.split()) == set()
