"""Vehicles by name and by file, and the errors for a wrong file."""

from pathlib import Path

import pytest

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.files import QUAD_250, VEHICLES, load_vehicle

GOOD = (Path(__file__).parents[3] / "sim/vehicle/airframes/racing_250.toml").read_text("utf-8")


def test_shipped_vehicles_load_by_name() -> None:
    masses = {name: load_vehicle(name).mass for name in VEHICLES}
    assert masses == {
        "crazyflie": 0.027,
        "crazyflie_brushless": 0.0434,
        "racing_250": 0.6,
        "starling_280": 0.28,
        "survey_1500": 1.5,
        "tello": 0.08,
        "x500": 2.06,
    }
    assert load_vehicle("racing_250") == QUAD_250
    crazyflie = load_vehicle("crazyflie")
    assert crazyflie.mass == 0.027
    assert crazyflie.inertia == (1.4e-5, 1.4e-5, 2.17e-5)
    assert crazyflie.thrust_to_weight == pytest.approx(2.25, rel=1e-3)
    assert QUAD_250.thrust_to_weight == pytest.approx(3.0, rel=1e-3)
    for name, ratio in (
        ("survey_1500", 1.92),
        ("crazyflie_brushless", 1.82),
        ("tello", 1.8),
        ("starling_280", 2.6),
        ("x500", 1.69),
    ):
        assert load_vehicle(name).thrust_to_weight == pytest.approx(ratio, rel=1e-2)


def test_a_users_file_loads(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD.replace("mass = 0.6", "mass = 1").partition("[battery]")[0])
    vehicle: VehicleParameters = load_vehicle(file)
    assert vehicle.mass == 1.0
    assert vehicle.battery is None
    assert load_vehicle(str(file)) == vehicle


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("mass = 0.6", "", "field mass is missing"),
        ("mass = 0.6", "weight = 0.6", "unknown field weight, choose from mass, inertia"),
        ("mass = 0.6", 'mass = "0.6"', "mass must be a number, got '0.6'"),
        ("mass = 0.6", "mass = true", "mass must be a number, got True"),
        ("mass = 0.6", "mass = nan", r"mass must be in \[0.005, 100\], got nan"),
        ("mass = 0.6", "mass = -1", r"mass must be in \[0.005, 100\], got -1"),
        (
            "mass = 0.6",
            "mass = 6.0",
            "max_rotor_speed must give a thrust of 1.5 to 20",
        ),
        ("[2.2e-3, 2.6e-3, 4.0e-3]", "2.2e-3", "inertia must be a list of three numbers"),
        ("[2.2e-3, 2.6e-3, 4.0e-3]", "[1, 2]", "inertia must be a list of three numbers"),
        ("[2.2e-3, 2.6e-3, 4.0e-3]", "[1, 1, 3]", "inertia must have no moment above the sum"),
        ("capacity = 1.5", "capacity = 0", r"battery.capacity must be in \[0.001, 1000\], got 0"),
        ("capacity = 1.5", "", "field battery.capacity is missing"),
        ("capacity = 1.5", "cells = 4\ncapacity = 1.5", "unknown field battery.cells"),
        ("[battery]", "battery = 3 #", r"battery must be a table, \[battery\], got 3"),
        ("mass = 0.6", "mass 0.6", "not TOML: .*line 4"),
    ],
)
def test_a_wrong_file_is_one_error_that_names_file_and_field(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    if old == "[battery]":
        text = text.partition("capacity")[0]
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(SimulationError, match=rf"vehicle {file}: {says}") as error:
        load_vehicle(file)
    assert "\n" not in str(error.value)


def test_an_unknown_name_or_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"there is no vehicle 'quad'; choose one of crazy"):
        load_vehicle("quad")
    with pytest.raises(SimulationError, match=r"no\.toml: No such file"):
        load_vehicle(tmp_path / "no.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(SimulationError, match=r"folder\.toml: Is a directory"):
        load_vehicle(tmp_path / "folder.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9t\xe9\n")
    with pytest.raises(SimulationError, match=r"latin\.toml: not a text in UTF-8"):
        load_vehicle(tmp_path / "latin.toml")
