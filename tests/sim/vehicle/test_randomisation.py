"""Vehicles drawn for each flight: in their ranges, repeatable, independent of other draws."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from liquid_nav.command import Command
from liquid_nav.events import SECOND
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.files import QUAD_250
from liquid_nav_sim.vehicle.randomisation import VehicleRandomisation
from liquid_nav_sim.world import World

EVERYTHING = {
    "mass": 0.2,
    "inertia": 0.2,
    "arm_length": 0.05,
    "rotor_radius": 0.05,
    "thrust_coefficient": 0.1,
    "drag_torque_ratio": 0.3,
    "max_rotor_speed": 0.05,
    "motor_time_constant": 0.4,
    "rotor_inertia": 0.5,
    "rotor_drag": 0.5,
    "body_drag_area": 0.5,
    "ground_effect": 0.5,
    "collision_radius": 0.1,
    "collision_height": 0.1,
    "battery.capacity": 0.2,
    "battery.full_voltage": 0.02,
    "battery.empty_voltage": 0.02,
    "battery.resistance": 0.5,
    "battery.efficiency": 0.1,
}


@pytest.fixture
def worlds() -> Iterator[list[World]]:
    worlds: list[World] = []
    yield worlds
    for world in worlds:
        world.close()


def flat(parameters: VehicleParameters) -> dict[str, float | tuple[float, ...]]:
    assert parameters.battery is not None
    values = {name: value for name, value in vars(parameters).items() if name != "battery"}
    return values | {f"battery.{name}": value for name, value in vars(parameters.battery).items()}


def test_every_parameter_fills_its_range() -> None:
    nominal, rng = flat(QUAD_250), np.random.default_rng(0)
    assert EVERYTHING.keys() == nominal.keys()
    randomisation = VehicleRandomisation(EVERYTHING)
    draws = [flat(randomisation.draw(QUAD_250, rng)) for _ in range(400)]
    for name, width in EVERYTHING.items():
        ratios = np.array([np.divide(draw[name], nominal[name]) for draw in draws]).reshape(400, -1)
        # All components of a vector share one factor.
        np.testing.assert_allclose(ratios, np.repeat(ratios[:, :1], ratios.shape[1], axis=1))
        assert 1 - width <= ratios.min() < 1 - 0.95 * width
        assert 1 + 0.95 * width < ratios.max() <= 1 + width
    factors = np.array([[np.ravel(draw[name])[0] for name in EVERYTHING] for draw in draws])
    correlation = np.corrcoef(factors.T) - np.eye(len(EVERYTHING))
    assert np.abs(correlation).max() < 4 / math.sqrt(400)


def test_off_by_default(worlds: list[World]) -> None:
    worlds.append(World())
    worlds[0].reset(3)
    assert worlds[0].vehicle == QUAD_250


def test_each_flight_records_its_own_draw(worlds: list[World]) -> None:
    config = WorldConfig(randomisation=VehicleRandomisation({"mass": 0.2}))
    worlds += [World(config), World(config)]
    masses = []
    for seed in (1, 2, 1):
        for world in worlds:
            world.reset(seed)
        assert worlds[0].vehicle == worlds[1].vehicle
        masses.append(worlds[0].vehicle.mass)
    assert masses[0] == masses[2] != masses[1]
    assert all(0.8 * QUAD_250.mass <= mass <= 1.2 * QUAD_250.mass for mass in masses)


def test_randomisation_leaves_all_other_draws_unchanged(worlds: list[World]) -> None:
    """Scene, timing and noise are the same for every vehicle."""
    wild = VehicleRandomisation({"mass": 0.2, "motor_time_constant": 0.4})
    worlds += [World(), World(WorldConfig(randomisation=wild))]
    stamps = []
    for world in worlds:
        world.reset(7)
        stamps.append([])
        while (event := world.next_event(SECOND // 2)) is not None:
            stamps[-1].append((event.channel, event.stamp, event.arrival))
    assert stamps[0] == stamps[1]
    start, other = worlds[0].scene.start_position, worlds[1].scene.start_position
    np.testing.assert_array_equal(start, other)


def test_the_drawn_vehicle_flies(worlds: list[World]) -> None:
    """The autopilot knows only the nominal mass: a heavier vehicle sinks before it adapts."""
    sunk = []
    for mass in (0.6, 0.66):
        worlds.append(World(WorldConfig(randomisation=VehicleRandomisation({"mass": 0.2}))))
        world = worlds[-1]
        seed = _seed_of_mass(world, mass)
        world.reset(seed)
        world.command(Command(0))
        start = world.state.position[2]
        lowest = start
        while world.time < 3 * SECOND:
            world.next_event(world.time + 1)
            lowest = min(lowest, world.state.position[2])
        sunk.append(start - lowest)
        assert abs(world.state.linear_velocity[2]) < 0.1
    assert sunk[1] > sunk[0] + 0.03


def _seed_of_mass(world: World, mass: float) -> int:
    for seed in range(200):
        world.reset(seed)
        if abs(world.vehicle.mass - mass) < 0.01:
            return seed
    raise AssertionError("no seed draws this mass")


@pytest.mark.parametrize(
    ("ranges", "says"),
    [
        ({"weight": 0.1}, "unknown field 'weight', choose from mass, "),
        ({"battery": 0.1}, "unknown field 'battery', choose from mass, .*battery.capacity"),
        ({"mass": 1.0}, r"mass must be in \[0, 1\), got 1.0"),
        ({"mass": -0.1}, r"mass must be in \[0, 1\), got -0.1"),
        ({"mass": math.nan}, r"mass must be in \[0, 1\), got nan"),
    ],
)
def test_a_wrong_range_is_named(ranges: dict[str, float], says: str) -> None:
    with pytest.raises(SimulationError, match=rf"VehicleRandomisation\.ranges: {says}"):
        VehicleRandomisation(ranges)


@pytest.mark.parametrize(
    ("ranges", "says"),
    [
        (
            {"mass": 0.5, "thrust_coefficient": 0.5},
            "max_rotor_speed must give a thrust",
        ),
        ({"battery.empty_voltage": 0.2, "battery.full_voltage": 0.2}, "battery.empty_voltage"),
        ({"collision_height": 0.9}, "collision_height must be in"),
    ],
)
def test_ranges_that_allow_no_vehicle_are_refused(ranges: dict[str, float], says: str) -> None:
    with pytest.raises(SimulationError, match=f"ranges are too wide: {says}"):
        WorldConfig(randomisation=VehicleRandomisation(ranges))


def test_a_missing_battery_cannot_be_randomised() -> None:
    with pytest.raises(SimulationError, match=r"battery\.capacity: this vehicle has no battery"):
        WorldConfig(
            vehicle=replace(QUAD_250, battery=None),
            randomisation=VehicleRandomisation({"battery.capacity": 0.1}),
        )
