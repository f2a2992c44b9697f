"""Whatever a TOML file of a vehicle or of faults holds: it is read, or one typed error names it."""

import contextlib
import importlib.resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.effects import EFFECTS
from liquid_nav_sim.faults.schedule import read_faults
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.vehicle.files import load_vehicle

CRAZYFLIE = importlib.resources.files("liquid_nav_sim.vehicle") / "airframes" / "crazyflie.toml"
LINES = CRAZYFLIE.read_text().splitlines()
VALUES = st.sampled_from(
    [
        *("1", "-1", "0", "nan", "inf", "-inf", "1e400", "1e308", "1e-320", "9" * 500, "true"),
        *('"x"', '""', "[]", "[1,2]", "[1,2,3]", "[nan,1,1]", "[[[]]]", "{}", "{a=1}"),
        *("1979-05-27", '"camera"', "[0,0,0]", f"[{'9' * 400},1,1]"),
    ]
)
FAULT = {
    "kind": st.sampled_from([f'"{kind}"' for kind in EFFECTS]),
    "start": st.just("1.0"),
    "duration": st.just("1.0"),
    "magnitude": st.just("0.5"),
    "rotor": st.just("1"),
    "direction": st.just("[1,0,0]"),
    "sensor": st.sampled_from(['"camera"', '"imu"']),
    "unknown": st.nothing(),
}
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def check(path: Path) -> None:
    for read in (load_vehicle, read_faults):
        with contextlib.suppress(SimulationError):
            read(path)


@SETTINGS
@given(data=st.data())
def test_a_vehicle_with_other_values(tmp_path: Path, data: st.DataObject) -> None:
    lines = []
    for line in LINES:
        name, equals, _ = line.partition("=")
        change = data.draw(st.integers(0, 12)) if equals else 9
        if change:
            lines.append(f"{name}= {data.draw(VALUES)}" if change == 1 else line)
        if change == 2:
            lines.append("unknown = 1")
    path = tmp_path / "vehicle.toml"
    path.write_text("\n".join(lines))
    check(path)


@SETTINGS
@given(data=st.data())
def test_faults_with_other_values(tmp_path: Path, data: st.DataObject) -> None:
    fields = data.draw(st.lists(st.sampled_from(list(FAULT)), unique=True, max_size=8))
    values = {field: data.draw(FAULT[field] | VALUES) for field in fields}
    path = tmp_path / "faults.toml"
    path.write_text("\n".join(["[[fault]]", *(f"{k} = {v}" for k, v in values.items())]))
    check(path)


@SETTINGS
@given(content=st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.toml"
    path.write_bytes(content)
    check(path)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{b=" * 5_000,
        "a = 9999-99-99",
        "a = 1979-05-27T99:99:99Z",
        'a = "\\uD800"',
        "a = " + "9" * 6_000,
        '[[fault]]\nkind = "camera_drop"\nstart = 1e308',
        "[fault]\nstart = 1",
        "fault = 5",
        "fault = [5]",
        "fault = [[]]",
    ],
    ids=range(11),
)
def test_what_fuzzing_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "found.toml"
    path.write_text(text)
    for read in (load_vehicle, read_faults):
        with pytest.raises(SimulationError, match=r"found\.toml"):
            read(path)


def test_a_path_that_no_file_can_have() -> None:
    for read in (load_vehicle, read_faults):
        with pytest.raises(SimulationError, match="cannot be read"):
            read("\0.toml")


def test_a_vehicle_by_name_says_what_reads_one() -> None:
    with pytest.raises(
        SimulationError, match=r"WorldConfig\.vehicle .*load_vehicle\('crazyflie'\)"
    ):
        WorldConfig(vehicle="crazyflie")  # type: ignore[arg-type]
    assert WorldConfig(vehicle=load_vehicle("crazyflie")).vehicle.mass < 0.1


@pytest.mark.parametrize(
    "field",
    [
        "vehicle",
        "randomisation",
        "wind",
        "task",
        "random_faults",
        "sensors",
        "faults",
        "appearance",
    ],
)
@pytest.mark.parametrize("bad", [5, [3], {"x": 1}, Ellipsis, TargetTask], ids=str)
def test_a_field_of_another_type_is_named(field: str, bad: object) -> None:
    with pytest.raises(SimulationError, match=rf"WorldConfig\.{field} must be"):
        WorldConfig(**{field: bad})  # type: ignore[arg-type]
