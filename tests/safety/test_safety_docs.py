"""The page of failsafes names tests that exist, and every reason that a command can give."""

import ast
import re
from pathlib import Path

import pytest

from liquid_nav.safety.layer import SafetyConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "safety.md").read_text()
SPOKEN = {
    "safety/layer.py": {"SafetyLayer"},
    "safety/freshness.py": {"Freshness"},
    "controller.py": {"Controller"},
    "safety/screening.py": {
        "_implausible_imu",
        "_implausible_position",
        "_implausible_odometry",
        "FreezeDetector",
    },
}
"""Where reasons are worded: files of liquid_nav, and what in them."""


def rows() -> list[list[str]]:
    """Cells of the table of failsafes."""
    section = PAGE.split("## Failsafes and degradations")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named_tests(file: Path) -> set[str]:
    return {n.name for n in ast.parse(file.read_text()).body if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_row_has_a_cause_an_action_an_exit_and_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 4
    assert all(row)
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[3])
    assert named
    assert row[3] == ", ".join(f"`{file}::{test}`" for file, test in named)
    missing = [f"{file}::{test}" for file, test in named if test not in named_tests(ROOT / file)]
    assert missing == []


def reasons() -> set[str]:
    """Every wording of a reason in the source, as a pattern: any words for what is filled in."""
    found = set()
    for name, scopes in SPOKEN.items():
        tree = ast.parse((ROOT / "liquid_nav" / name).read_text())
        for node in tree.body:
            if getattr(node, "name", None) in scopes:
                scopes = scopes - {node.name}
                found |= set(_wordings(node))
        assert scopes == set(), f"{scopes} is no longer in {name}"
    return found


def _wordings(node: ast.AST) -> list[str]:
    """Patterns of the strings in a piece of source that are no docstrings and not raised."""
    if isinstance(node, ast.Raise):
        return []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        return []
    if isinstance(node, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
        # What is filled in altogether is worded elsewhere.
        spoken = any(part and re.search("[a-z]", part) for part in parts)
        return ["".join("[^`]+" if p is None else re.escape(p) for p in parts)] if spoken else []
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # Joints between reasons are no reasons.
        return [re.escape(node.value)] if re.search("[a-z]", node.value) else []
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return []
    return [wording for child in ast.iter_child_nodes(node) for wording in _wordings(child)]


def test_the_source_is_read() -> None:
    found = reasons()
    assert "clock:\\ went\\ back" in found
    assert len(found) >= 15


@pytest.mark.parametrize("reason", sorted(reasons()))
def test_every_reason_is_in_the_page(reason: str) -> None:
    assert re.search(f"`{reason}`", PAGE), reason


def test_the_defaults_are_those_of_the_page() -> None:
    config = SafetyConfig()
    for channel, ages in config.staleness.items():
        cells = f"hover {ages.hover:g} s, land {ages.land:g} s"
        assert f"| `staleness.{channel.value}` | {cells} |" in PAGE
    for channel, seconds in config.frozen.items():
        assert f"| `frozen.{channel.value}` | {seconds:g} s |" in PAGE
    assert f"| `recovery` | {config.recovery:g} s |" in PAGE
