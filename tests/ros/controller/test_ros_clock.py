"""A controller on a clock that stops, goes back, or has moved on while the process was stopped."""

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.node_support import (
    Process,
    SimulatedTime,
    Vehicle,
    bring_up,
    is_rest,
    save_small_bundle,
    vector,
)
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from liquid_nav.events import SECOND, Channel


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def flying(ros: Spinner, bundle: Path) -> tuple[Vehicle, SimulatedTime]:
    """A vehicle on simulated time whose newest command moves it, and whose sensors go on."""
    vehicle = Vehicle(ros, bundle, use_sim_time=True)
    clock = SimulatedTime(vehicle)
    clock.set(100.0)
    vehicle.fly()
    vehicle.sensing = True
    vehicle.until(lambda: vehicle.commands and not is_rest(vehicle.commands[-1]), "flight")
    return vehicle, clock


def test_a_clock_that_stands_still_brings_the_vehicle_to_rest(ros: Spinner, bundle: Path) -> None:
    vehicle, clock = flying(ros, bundle)
    clock.runs, stopped = False, time.monotonic()
    vehicle.until(lambda: is_rest(vehicle.commands[-1]), "rest")
    assert time.monotonic() - stopped < 2.0  # 0.5 s on a machine that does nothing else.
    vehicle.until_reported("controller", "hover: clock: stands still")
    assert vehicle.last("fresh") == "false"
    vehicle.commands.clear()
    vehicle.until(lambda: len(vehicle.commands) > 20, "commands that go on")
    assert all(map(is_rest, vehicle.commands))
    clock.runs = True
    vehicle.until(lambda: not is_rest(vehicle.commands[-1]), "flight")


@pytest.mark.parametrize("seconds", [0.5, 0.9])
def test_a_clock_that_goes_back_a_little_brings_the_vehicle_to_rest_until_it_has_caught_up(
    ros: Spinner, bundle: Path, seconds: float
) -> None:
    vehicle, clock = flying(ros, bundle)
    arrived: list[tuple[float, bool]] = []
    vehicle.world.create_subscription(
        type(vehicle.commands[0]),
        "cmd_vel",
        lambda command: arrived.append((time.monotonic(), is_rest(command))),
        50,
    )
    reasons: set[str] = set()
    clock.back(seconds)
    began = time.monotonic()
    vehicle.until(lambda: arrived and arrived[-1][1], "rest")
    vehicle.until(
        lambda: (
            reasons.add(vehicle.node._status._reason)
            or (time.monotonic() - began > seconds and not arrived[-1][1])
        ),
        "flight",
    )
    assert "clock: went back" in reasons
    # Commands never cease: 20 a second at least, on a machine that does nothing else.
    assert max(b - a for (a, _), (b, _) in itertools.pairwise(arrived)) < 0.3


@pytest.fixture
def without_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let DDS use UDP alone, here and in processes that are started.

    A process that is stopped may hold a lock in the shared memory of DDS. Who waits for it crashes
    when DDS gives that memory up in the meantime.
    """
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")


def test_a_process_that_was_stopped_sends_no_old_command(
    without_shared_memory: None, ros: Spinner, bundle: Path
) -> None:
    vehicle, clock = flying(ros, bundle)  # Its sensors and its clock; another process flies.
    assert vehicle.node.trigger_deactivate().name == "SUCCESS"
    parameters = {
        "model": bundle,
        "use_sim_time": "true",
        "use_camera_info": "false",
        "sensor_reliability": "reliable",
        "recovery": 0.0,
    }
    pairs = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
    with Process("controller", *pairs, "-r", "__ns:=/drone", "-r", "__node:=other") as process:
        bring_up(ros, vehicle.world, "other")
        # A command that is on its way out when the signal comes cannot be called back: that may
        # happen once, and a node that sends old commands does so every time.
        late = [stop_and_go_on(vehicle, clock, process) for _ in range(3)]
        assert sum(map(bool, late)) <= 1, late


def stop_and_go_on(vehicle: Vehicle, clock: SimulatedTime, process: Process) -> list[Any]:
    """Stop a process in flight for 2 s; return the old commands that it sends afterwards."""
    vehicle.commands.clear()
    vehicle.until(lambda: vehicle.commands and not is_rest(vehicle.commands[-1]), "flight")
    # Right after a command of the timer, so that hardly one is on its way out.
    vehicle.sensing = False
    paused = time.monotonic()
    vehicle.until(lambda: time.monotonic() - paused > 0.06, "the timer")
    vehicle.commands.clear()
    vehicle.until(lambda: vehicle.commands, "a command")
    process.popen.send_signal(signal.SIGSTOP)
    stopped, vehicle.sensing = time.monotonic(), True
    vehicle.until(lambda: time.monotonic() - stopped > 2, "the end of the stop")
    now = clock.now
    vehicle.commands.clear()
    process.popen.send_signal(signal.SIGCONT)
    vehicle.until(lambda: len(vehicle.commands) > 5, "commands")
    old = [c for c in vehicle.commands if clock.stamp(c) < now - 0.5]
    return [vector(command) for command in old if not is_rest(command)]


def test_stamps_of_another_clock_are_mapped_onto_ours_where_that_is_asked_for(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Vehicle(ros, bundle, arrival_stamps="imu").fly()
    health = vehicle.controller.health.channels[Channel.IMU]

    def accepted() -> bool:
        vehicle.imu.publish(vehicle.sample(offset=-86400.0))  # A clock of yesterday.
        return health.accepted > 5

    vehicle.until(accepted, "samples with stamps of another clock")
    assert health.rejected == 0
    assert vehicle.node.get_clock().now().nanoseconds - health.stamp < 3600 * SECOND
