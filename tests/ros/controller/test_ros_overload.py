"""The controller in a process of its own under more measurements than it can handle."""

import contextlib
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.node_support import Process, bring_up, is_rest, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from rclpy.experimental import EventsExecutor
from std_srvs.srv import SetBool

from liquid_nav.messages.decode import stamp_of
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.heartbeat import TYPE as HEARTBEAT_TYPE

FAST_DDS = Path(__file__).parents[3] / "config" / "fastdds.xml"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spinner]:
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(FAST_DDS))
    # Lean, because the cores are busy.
    with Spinner(EventsExecutor) as spinner:
        yield spinner


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy with one process that never sleeps."""
    spin = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    loops = [
        subprocess.Popen([sys.executable, "-c", spin, str(core)])
        for core in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


class Flood:
    """`flood.py` in a process of its own, from when its publishers are matched."""

    def __init__(self, **options: Any) -> None:
        arguments = [f"--{name}={value}" for name, value in options.items()]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "ros.flood", *arguments],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == "matched\n"

    def __enter__(self) -> "Flood":
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        with self.popen:
            pass

    def wait(self) -> dict[str, int]:
        """Wait for the end of its time; return how many messages were sent."""
        sent: dict[str, int] = json.loads(self.popen.communicate(timeout=120)[0])
        return sent

    def end(self) -> dict[str, int]:
        """End it; return how many messages were sent."""
        self.popen.terminate()
        return self.wait()


class Station:
    """What the operator and the supervisor see of a controller of another process."""

    def __init__(self, ros: Spinner) -> None:
        self.ros, self.node = ros, ros.node("station")
        self.commands: list[TwistStamped] = []
        self.heartbeats: list[float] = []
        self.values: dict[str, dict[str, str]] = {}
        self.node.create_subscription(TwistStamped, "cmd_vel", self.commands.append, 1000)
        self.node.create_subscription(
            message_class(HEARTBEAT_TYPE),
            "liquid_nav_node/heartbeat",
            lambda _: self.heartbeats.append(time.monotonic()),
            100,
        )
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_report, 50)
        self.stops = self.node.create_client(SetBool, "liquid_nav_node/stop")

    def _on_report(self, report: DiagnosticArray) -> None:
        for status in report.status:
            name = status.name.rpartition(": ")[2]
            self.values[name] = {pair.key: pair.value for pair in status.values}

    def flies(self) -> bool:
        """Whether the newest command moves the vehicle."""
        return bool(self.commands) and not is_rest(self.commands[-1])

    def until_accounted_for(self, sent: dict[str, int]) -> None:
        """Wait until every message that was sent was accepted, rejected, lost or dropped."""
        fates = ("accepted", "rejected", "lost", "dropped")

        def counted() -> dict[str, int]:
            return {channel: sum(self.number(channel, f) for f in fates) for channel in sent}

        deadline = time.monotonic() + 30
        self.ros.until(lambda: counted() == sent or time.monotonic() > deadline, what="a report")
        assert counted() == sent

    def number(self, channel: str, key: str) -> int:
        return int(self.values.get(channel, {}).get(key, 0))

    def stop(self, engaged: bool) -> float:
        """Call the service; return how long the answer took, s."""
        called = time.monotonic()
        future = self.stops.call_async(SetBool.Request(data=engaged))
        self.ros.until(future.done, 60, "an answer to the stop")
        assert future.result().success
        return time.monotonic() - called


def resident(process: Process) -> int:
    """Resident memory of a process, bytes."""
    pages = Path(f"/proc/{process.popen.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def controller(bundle: Path, executor: str, *more: str) -> Process:
    values = {
        "model": bundle,
        "use_camera_info": "false",
        "executor": executor,
        "staleness.imu.hover": 2.0,
        "staleness.camera.hover": 5.0,
        "staleness.camera.land": 9.0,
    }
    pairs = [argument for key, value in values.items() for argument in ("-p", f"{key}:={value}")]
    return Process("controller", *pairs, *more)


@pytest.mark.parametrize("executor", ["events", "single"])
def test_stop_and_heartbeat_do_not_wait_behind_a_flood_of_measurements(
    ros: Spinner, bundle: Path, executor: str
) -> None:
    """Without precedence for them, a stop took 3.6 to 28 s. Measured beside nothing else: 5 ms.

    The bounds are those of a machine that may stand still for a while: they tell waiting for the
    flood from not waiting, not fast from slow.
    """
    station = Station(ros)
    with controller(bundle, executor):
        bring_up(ros, station.node)
        ros.until_matched(station.stops)
        with busy_cores(), Flood(imu=2000, camera=20) as flood:
            ros.until(station.flies, what="flight")
            begin = time.monotonic()
            ros.until(lambda: time.monotonic() - begin > 2, what="the flood")
            answered = []
            for engaged in itertools.islice(itertools.cycle((True, False)), 20):
                answered.append(station.stop(engaged))
                stopped, since = time.time_ns(), time.monotonic()
                station.commands.clear()
                ros.until(lambda s=since: time.monotonic() - s > 0.3, what="the flood")
                if engaged:
                    later = [c for c in station.commands if stamp_of(c.header.stamp) > stopped]
                    assert later
                    assert all(map(is_rest, later))
            gaps = [
                b - a for a, b in itertools.pairwise(t for t in station.heartbeats if t > begin)
            ]
            assert statistics.median(answered) <= 0.2
            assert max(answered) <= 2
            assert statistics.median(gaps) <= 0.2
            assert max(gaps) <= 2
            sent = flood.end()
        station.until_accounted_for(sent)


def test_a_driver_that_sends_hundreds_of_samples_at_once_loses_none(
    ros: Spinner, bundle: Path
) -> None:
    station = Station(ros)
    with controller(bundle, "events"):
        bring_up(ros, station.node)
        with Flood(imu=1000, burst=200, seconds=5.1) as flood:
            sent = flood.wait()
        station.until_accounted_for(sent)
        assert sent["imu"] >= 5000
        assert station.number("imu", "lost") == 0
        assert (
            station.number("imu", "accepted") > 0.95 * sent["imu"]
        )  # All, where nothing else runs.


def test_nothing_is_lost_without_being_counted(ros: Spinner, bundle: Path) -> None:
    """Images of 640x480 at 60 Hz beside 400 Hz of IMU; `benchmarks/ros_soak.py` takes longer."""
    station = Station(ros)
    with controller(bundle, "events") as process:
        bring_up(ros, station.node)
        with Flood(imu=400, camera=60, width=640, height=480, seconds=20) as flood:
            ros.until(station.flies, what="flight")
            before = resident(process)
            sent = flood.wait()
            assert resident(process) - before < 40e6
        station.until_accounted_for(sent)
        assert station.number("imu", "accepted") > 0.9 * sent["imu"]
