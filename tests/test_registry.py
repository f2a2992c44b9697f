"""Parts found by name: ours, and those of installed packages."""

import logging
from pathlib import Path

import pytest

from liquid_nav.errors import ConfigError
from liquid_nav.registry import Registry


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that plugs in a part of its own, one named as ours, and one that is not there."""
    (tmp_path / "blimp.py").write_text("class Blimp:\n    gas = 'helium'\n")
    about = tmp_path / "blimp-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: blimp\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[test.crafts]\nblimp = blimp:Blimp\nours = blimp:Blimp\nlost = blimp:Airship\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def crafts() -> Registry[object]:
    return Registry("test.crafts", "craft", {"ours": 1, "sqrt": "math:sqrt"})


def test_our_parts_are_given_as_they_are_or_imported() -> None:
    assert crafts().get("ours") == 1
    assert crafts().get("sqrt")(9.0) == 3.0  # type: ignore[operator]


@pytest.mark.usefixtures("installed")
def test_parts_of_installed_packages_are_found_and_never_replace_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert list(crafts()) == ["ours", "sqrt", "blimp", "lost"]
    assert "'ours'" in caplog.text
    assert crafts().get("blimp").gas == "helium"  # type: ignore[attr-defined]
    assert crafts().get("ours") == 1
    assert "blimp" in crafts()
    assert "zeppelin" not in crafts()


@pytest.mark.usefixtures("installed")
def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no craft 'x'; choose one of ours, sqrt, blimp, lost"):
        crafts().get("x")


@pytest.mark.usefixtures("installed")
def test_a_part_that_cannot_be_imported_says_where_it_should_be() -> None:
    with pytest.raises(ConfigError, match="craft 'lost' at blimp:Airship cannot be imported"):
        crafts().get("lost")
