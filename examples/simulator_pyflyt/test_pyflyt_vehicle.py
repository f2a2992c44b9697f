"""The quadrotors of PyFlyt pass the checks of a vehicle, and fly to a target as they are told."""

import math
from collections.abc import Iterator

import pytest

from liquid_nav.command import Command
from liquid_nav.evaluation.abroad import SIMULATORS
from liquid_nav.evaluation.abroad.checks import check_vehicle
from liquid_nav.evaluation.abroad.scenes import over_ground
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav_sim.streams import Streams
from liquid_nav_sim.tasks.target import sample_target_scene
from liquid_nav_sim.world import Outcome
from plugin_support import plugged

pytest.importorskip("PyFlyt", reason="PyFlyt needs an environment of its own")
# What the simulator warns of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plugged("simulator_pyflyt", tmp_path_factory.mktemp("site")):
        yield


def vehicle_of(name: str, seed: int) -> SimulatedVehicle:
    scene = over_ground(sample_target_scene(Streams(seed)["scene"]), "noise", seed)
    return SIMULATORS.get(name)(scene, seed)


def guided(vehicle: SimulatedVehicle) -> tuple[Outcome | None, int]:
    """Fly straight to the target at 1.5 m/s, which the scene leaves free; count the events."""
    count, yaw, last = 0, vehicle.scene.start_yaw, 0
    with vehicle:
        for event in vehicle.events():
            count += 1
            assert event.arrival >= last
            last = event.arrival
            away = vehicle.attempt.goal - vehicle.position
            x, y, z = 1.5 * away / max(math.hypot(*away), 1e-6)
            c, s = math.cos(yaw), math.sin(yaw)
            vehicle.command(Command(event.arrival, c * x + s * y, c * y - s * x, float(z)))
        return vehicle.outcome, count


@pytest.mark.parametrize("name", ["pyflyt_crazyflie", "pyflyt_quad"])
def test_it_is_wired_rightly(name: str) -> None:
    for check in check_vehicle(vehicle_of(name, 1)):
        assert check.passed, f"{check.name}: {check.found}"


@pytest.mark.parametrize("name", ["pyflyt_crazyflie", "pyflyt_quad"])
def test_it_flies_where_it_is_told_the_same_way_each_time(name: str) -> None:
    first = guided(vehicle_of(name, 2))
    assert first[0] is Outcome.SUCCESS
    assert guided(vehicle_of(name, 2)) == first


def test_a_command_as_it_is_makes_a_tilted_vehicle_sink() -> None:
    from pyflyt_vehicle import PyFlytVehicle

    scene = over_ground(sample_target_scene(Streams(2)["scene"]), "plain", 2)
    heights = []
    for tilted in (False, True):
        with PyFlytVehicle(scene, 2, tilted=tilted) as vehicle:
            for event in vehicle.events():
                vehicle.command(Command(event.arrival, 3.0))
                if vehicle.time > 2e9:
                    break
            heights.append(vehicle.position[2] - scene.start_position[2])
    assert heights[1] < heights[0] - 0.1
