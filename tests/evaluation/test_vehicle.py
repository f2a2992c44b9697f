"""The boundary of a vehicle: our simulator, a small one, and vehicles that are wired wrongly."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from liquid_nav.cli.main import main
from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.abroad import SIMULATORS
from liquid_nav.evaluation.abroad.checks import Check, check_vehicle
from liquid_nav.evaluation.abroad.scenes import GROUNDS, over_ground
from liquid_nav.evaluation.flight import fly, fly_vehicle
from liquid_nav.evaluation.home import HomeVehicle
from liquid_nav.evaluation.study.job import FlightJob
from liquid_nav.evaluation.study.study import Study
from liquid_nav.evaluation.suites.abroad import AbroadCell, abroad
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav.onboard import load_policy
from liquid_nav.vehicle import Equipment, Vehicle
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.streams import Streams
from liquid_nav_sim.tasks.target import sample_target_scene
from liquid_nav_sim.world import Outcome, World
from plugin_support import plugged
from point_vehicle import PointVehicle

MODEL = Path(__file__).parents[2] / "models/target"
CONFIG = WorldConfig(renderer="raycast")


def scene_of(seed: int, ground: str = "noise") -> Scene:
    return over_ground(sample_target_scene(Streams(seed)["scene"]), ground, seed)


def failed(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.found for check in checks if check.passed is False}


def test_a_vehicle_of_ours_flies_behind_the_boundary_as_without_it() -> None:
    world, pilot = World(CONFIG), Controller(load_policy(MODEL)[0])
    flight = fly(world, pilot, 7)
    commands = []
    vehicle: Vehicle = HomeVehicle(world, 7)
    pilot.reset()
    with vehicle:
        for event in vehicle.events():
            pilot.on_event(event)
            commands.append(pilot.command(event.arrival))
            vehicle.command(commands[-1])
    assert world.outcome is flight.outcome is Outcome.SUCCESS
    assert world.state.position.tolist() == flight.track[-1].tolist()
    assert len(commands) == sum(map(len, flight.event_to_command.values()))
    world.close()


def test_equipment_is_known_before_anything_is_connected() -> None:
    world = World(CONFIG.with_sensor("odometry"))
    has = HomeVehicle(world, 7).equipment
    assert has.rates == {Channel.IMU: 200.0, Channel.CAMERA: 30.0, Channel.ODOMETRY: 30.0}
    assert has.camera is not None
    assert has.camera.width == 64
    world.close()
    with pytest.raises(ConfigError, match="rate of imu must be a positive"):
        Equipment({Channel.IMU: 0.0}, 50.0)
    with pytest.raises(ConfigError, match="must name its camera"):
        Equipment({Channel.CAMERA: 30.0}, 50.0, None)


class Guided:
    """Flies straight to a point above the goal, which it knows."""

    channels = ()

    def __init__(self, vehicle: SimulatedVehicle, height: float) -> None:
        self._vehicle, self._height = vehicle, np.array([0.0, 0.0, height])

    def reset(self) -> None:
        pass

    def on_event(self, event: Event) -> None:
        pass

    def command(self, now: int) -> Command:
        vehicle, yaw = self._vehicle, self._vehicle.scene.start_yaw
        away = vehicle.attempt.goal + self._height - vehicle.position
        x, y, z = (1.5 * away / np.linalg.norm(away)).tolist()
        c, s = np.cos(yaw), np.sin(yaw)
        return Command(now, float(c * x + s * y), float(c * y - s * x), z)


class Miswired(HomeVehicle):
    """Our simulator with one thing wrong."""

    def __init__(
        self,
        world: World,
        event: Callable[[Event], Event] = lambda event: event,
        command: Callable[[Command], Command] = lambda command: command,
    ) -> None:
        super().__init__(world, 7)
        self._event, self._command = event, command

    def events(self) -> Iterator[Event]:
        return map(self._event, super().events())

    def command(self, command: Command) -> None:
        super().command(self._command(command))


def sensed(gyro: object = 1.0, force: object = 1.0, plus: object = 0.0) -> Callable[[Event], Event]:
    """Multiply the readings of the IMU, and add to its specific force."""

    def change(event: Event) -> Event:
        if not isinstance(event, ImuSample):
            return event
        return ImuSample(
            event.stamp,
            event.arrival,
            event.angular_velocity * np.array(gyro),
            event.specific_force * np.array(force) + np.array(plus),
        )

    return change


def pictured(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Event], Event]:
    def seen(event: Event) -> Event:
        return (
            replace(event, image=change(event.image)) if isinstance(event, CameraFrame) else event
        )

    return seen


MIRRORED = pictured(lambda image: np.ascontiguousarray(image[:, ::-1]))
REST, TURN, PAN = (
    "specific force at rest",
    "gyro in a turn to the left",
    "camera in a turn to the left",
)


@pytest.mark.parametrize(
    ("wrong", "check", "mended_by"),
    [
        ({"event": sensed(force=(1, -1, -1))}, REST, "z points down"),
        ({"event": sensed(force=1 / 9.80665)}, REST, "this is in g"),
        ({"event": sensed(plus=(0, 0, -9.80665))}, REST, "add gravity"),
        ({"event": sensed(gyro=(1, -1, -1))}, TURN, "z axis points down"),
        ({"event": sensed(gyro=57.3)}, TURN, "in degrees"),
        ({"event": MIRRORED}, PAN, "it is mirrored"),
        ({"command": lambda c: replace(c, vx=c.vy, vy=c.vx)}, "velocity forward", "another direct"),
        ({"command": lambda c: replace(c, vy=-c.vy)}, "velocity left", "the other way"),
        ({"command": lambda c: replace(c, vz=c.vz / 4)}, "velocity up", "too little"),
        ({"command": lambda c: replace(c, vz=c.vz - 0.8 * abs(c.vx))}, "velocity forward", "sinks"),
    ],
)
def test_a_check_names_what_is_wired_wrongly_and_what_mends_it(
    wrong: dict[str, Callable[..., object]], check: str, mended_by: str
) -> None:
    world = World(CONFIG)
    found = failed(check_vehicle(Miswired(world, **wrong)))  # type: ignore[arg-type]
    assert mended_by in found.pop(check)
    # Exchanged axes are wrong in two directions, everything else in one place.
    assert set(found) <= {"velocity left"}
    world.close()


def test_a_vehicle_that_is_wired_rightly_passes_every_check() -> None:
    world = World(CONFIG)
    assert [check.passed for check in check_vehicle(HomeVehicle(world, 7))] == [True] * 7
    world.close()


def test_a_flight_that_ends_early_is_a_verdict() -> None:
    down = Miswired(World(CONFIG), command=lambda c: replace(c, vz=-1.2))
    *_, last = check_vehicle(down)
    assert last.name == "flight"
    assert "touched something" in last.found
    down.world.close()


def test_a_simulator_without_sensors_gets_an_imu_and_a_camera() -> None:
    vehicle = PointVehicle(scene_of(3), 3)
    assert vehicle.equipment.rates == {Channel.IMU: 120.0, Channel.CAMERA: 30.0}
    assert [check.passed for check in check_vehicle(vehicle)] == [True] * 7
    with vehicle:
        frames = [next(frame for frame in vehicle.events() if isinstance(frame, CameraFrame))]
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].latency == 20_000_000


def test_every_ground_looks_different_under_the_same_solids() -> None:
    pictures = []
    for ground in GROUNDS:
        scene = scene_of(3, ground)
        assert [s.position.tolist() for s in scene.solids] == [
            s.position.tolist() for s in scene_of(3).solids
        ]
        with PointVehicle(scene, 3) as vehicle:
            pictures.append(next(e for e in vehicle.events() if isinstance(e, CameraFrame)).image)
    above = [image[:20] for image in pictures]
    below = [image[28:].tobytes() for image in pictures]
    assert all((image == above[0]).all() for image in above)
    assert len(set(below)) == len(GROUNDS)


@pytest.mark.parametrize(("height", "outcome"), [(0.0, Outcome.SUCCESS), (-3.0, Outcome.COLLISION)])
def test_a_flight_abroad_is_judged_by_its_task(height: float, outcome: Outcome) -> None:
    vehicle = PointVehicle(scene_of(3), 3)
    flight = fly_vehicle(vehicle, Guided(vehicle, height), 3)
    assert flight.outcome is outcome
    assert flight.duration == pytest.approx(vehicle.time / SECOND)
    distance = np.linalg.norm(flight.track[-1] - flight.scene.target.position)  # type: ignore[union-attr]
    assert (distance <= 1.0) == (outcome is Outcome.SUCCESS)


def test_a_study_flies_a_cell_abroad(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(SIMULATORS._parts, "point", PointVehicle)
    cells = abroad(CONFIG)
    assert [cell.name for cell in cells] == [f"point, {ground}" for ground in GROUNDS]
    assert len({cell.fingerprint for cell in cells}) == len(cells)
    job = FlightJob(cells[0], "policy", MODEL, 3, tmp_path / "3.json")
    result = job.result()
    assert result["duration_s"] > 0
    assert result == job.result()


def test_the_command_line_checks_a_vehicle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-vehicle", "point"]) == 2
    assert "error: no simulator is installed" in capsys.readouterr().err
    monkeypatch.setitem(SIMULATORS._parts, "point", PointVehicle)
    assert main(["check-vehicle", "point", "--seed", "3"]) == 0
    told = capsys.readouterr().out
    assert told.count("passed") == 7
    assert "passed  camera in a turn to the left: the image moves" in told

    class Backwards(PointVehicle):
        def advance(self, command: Command) -> None:
            super().advance(replace(command, vx=-command.vx))

    monkeypatch.setitem(SIMULATORS._parts, "point", Backwards)
    assert main(["check-vehicle", "point", "--seed", "3"]) == 1
    assert "failed  velocity forward" in capsys.readouterr().out
    assert main(["check-vehicle", "pint"]) == 2
    assert "no simulator 'pint'; choose one of point" in capsys.readouterr().err


def test_experts_stay_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(SIMULATORS._parts, "point", PointVehicle)
    suites = {"abroad": abroad(CONFIG)[:1], "nominal": [Cell("nominal", CONFIG)]}
    study = Study(tmp_path, MODEL, suites, ("policy", "expert"), range(3, 4))
    flown = [(job.cell.name, job.pilot) for job in study.missing()]
    assert flown == [("point, plain", "policy"), ("nominal", "policy"), ("nominal", "expert")]


def test_the_suite_says_what_it_cannot_fly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert abroad(CONFIG) == []
        assert "no simulator is installed" in caplog.text
        pytest.importorskip("pybullet")
        with plugged("simulator_gym_pybullet_drones", tmp_path):
            names = [cell.name for cell in abroad(CONFIG) if isinstance(cell, AbroadCell)]
    assert names or "'gym_pybullet_drones' at gpd_vehicle" in caplog.text
