"""docs/architecture.md names every kind of part and every room, and nothing that is not there."""

import ast
import re
from pathlib import Path

from test_layers import PACKAGES, ROOMS, modules

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")


def registry_groups() -> set[str]:
    """First arguments of all registries that the code makes."""
    found = set()
    for file in modules().values():
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Registry":
                found.add(ast.literal_eval(node.args[0]))
    return found


def test_every_kind_of_part_is_told() -> None:
    assert set(re.findall(r"\| `(liquid_nav\.\w+)` \|", PAGE)) == registry_groups()


def test_every_room_is_told() -> None:
    rooms = {name for storey in ROOMS["liquid_nav"] for name in storey}
    section = PAGE.split("## Rooms")[1].split("No import runs upwards")[0]
    told = {name.removesuffix(".py").rstrip("/") for name in re.findall(r"`([\w/.]+)`", section)}
    assert rooms - told == set()


def test_what_the_page_points_to_exists() -> None:
    assert PACKAGES["liquid_nav_sim"].is_dir()
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    paths = re.findall(r"`((?:liquid_nav|sim|tests|examples)/[\w/.]+)`", PAGE)
    assert [path for path in paths if not (ROOT / path).exists()] == []
