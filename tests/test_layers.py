"""Who may know whom: the order of the rooms, held against every import, also those in functions."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"liquid_nav": ROOT / "liquid_nav", "liquid_nav_sim": ROOT / "sim"}

# From the ground up: a room imports from itself and from those before it.
ROOMS = {
    "liquid_nav": (
        ("errors",),
        ("files", "registry", "rotations", "values"),
        ("command", "events", "mp4"),
        ("captions",),
        ("safety",),
        ("onboard",),
        ("messages", "vehicle"),
        ("bags", "mavlink"),
        ("recording",),
        ("liquid",),
        ("policy",),
        ("controller",),
        ("mission", "replay", "ros"),
        ("learning",),
        ("evaluation",),
        ("cli",),
    ),
    "liquid_nav_sim": (
        ("errors", "normals", "rotation", "streams"),
        ("toml_files",),
        ("vehicle",),
        ("air",),
        ("scenes",),
        ("render",),
        ("faults",),
        ("sensors",),
        ("tasks",),
        ("config",),
        ("families",),
        ("arena",),
        ("watched", "world"),
        ("gym",),
    ),
}
MAY_IMPORT_THE_SIMULATOR = (
    "liquid_nav.learning",
    "liquid_nav.evaluation",
    "liquid_nav.cli",
    "liquid_nav.ros.simulator",
    "liquid_nav.messages.scene",
)
THE_SIMULATOR_MAY_IMPORT = {"command", "errors", "events", "registry", "rotations"}


def modules() -> dict[str, Path]:
    """Every module of the two packages by its import name."""
    found = {}
    for package, root in PACKAGES.items():
        for file in root.rglob("*.py"):
            parts = [package, *file.relative_to(root).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


def imported(name: str, file: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of ours that a module imports, at the top or within a function."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*above, node.module or ""] if node.level else [node.module or ""])
            source = source.rstrip(".")
            names = [f"{source}.{alias.name}" for alias in node.names]
            # What is no module of its own is a name in the module it comes from.
            targets = [target if target in known else source for target in names]
        yield from (t for t in targets if t.partition(".")[0] in PACKAGES and t != name)


def import_graph() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imported(name, file, known)) for name, file in known.items()}


def room(name: str) -> str:
    """Room of a module within its package; empty for the package itself."""
    return [*name.split("."), ""][1]


def height(name: str) -> int:
    """How far above the ground the room of a module is; the bare package is the ground itself."""
    rooms = ROOMS[name.partition(".")[0]]
    if not room(name):
        return -1
    return next(h for h, storey in enumerate(rooms) if room(name) in storey)


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_has_its_place(package: str) -> None:
    rooms = {room(name) for name in modules() if name.partition(".")[0] == package} - {""}
    assert rooms == {name for storey in ROOMS[package] for name in storey}


@pytest.mark.parametrize("package", ROOMS)
def test_imports_never_run_upwards_nor_between_rooms_of_one_storey(package: str) -> None:
    wrong = [
        f"{name} -> {target}"
        for name, targets in import_graph().items()
        for target in targets
        if name.partition(".")[0] == target.partition(".")[0] == package
        if room(target) != room(name) and height(target) >= height(name)
    ]
    assert wrong == []


def test_few_know_the_simulator() -> None:
    wrong = [
        f"{name} -> {target}"
        for name, targets in import_graph().items()
        for target in targets
        if target.startswith("liquid_nav_sim") and name.partition(".")[0] == "liquid_nav"
        if not name.startswith(MAY_IMPORT_THE_SIMULATOR)
    ]
    assert wrong == []


def test_nothing_imports_the_simulator_node() -> None:
    node = "liquid_nav.ros.simulator"
    wrong = [
        f"{name} -> {target}"
        for name, targets in import_graph().items()
        for target in targets
        if target.startswith(node) and not name.startswith(node)
    ]
    assert wrong == []


def test_the_simulator_knows_the_contracts_only() -> None:
    wrong = [
        f"{name} -> {target}"
        for name, targets in import_graph().items()
        for target in targets
        if name.startswith("liquid_nav_sim") and target.partition(".")[0] == "liquid_nav"
        if room(target) not in THE_SIMULATOR_MAY_IMPORT
    ]
    assert wrong == []


def test_what_flies_never_imports_torch() -> None:
    aboard = (
        *("safety", "onboard", "messages", "bags", "recording", "controller"),
        *("mavlink", "mission", "replay", "ros"),
    )
    wrong = [
        name
        for name, file in modules().items()
        if room(name) in aboard
        if re.search(r"^\s*(import|from) torch\b", file.read_text(), re.MULTILINE)
    ]
    assert wrong == []


def test_no_two_modules_import_each_other() -> None:
    graph = import_graph()
    assert len(graph) > 20
    TopologicalSorter(graph).prepare()


def test_rclpy_is_imported_by_the_ros_package_only() -> None:
    strangers = [
        name
        for name, file in modules().items()
        if re.search(r"^\s*(import|from) rclpy", file.read_text(), re.MULTILINE)
        if not name.startswith("liquid_nav.ros")
    ]
    assert strangers == []
