"""The log of whole flights: a file for each, which replays to the commands that were sent."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ros.log_support import identical, replayed
from ros.node_support import (
    OK,
    Process,
    SimulatedTime,
    Vehicle,
    bring_up,
    overrides,
    save_small_bundle,
)
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from geometry_msgs.msg import TwistStamped

from liquid_nav.bags.bag import Recording
from liquid_nav.cli.main import main
from liquid_nav.events import SECOND


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def test_a_flight_whose_parameters_changed_replays_to_what_was_sent(
    ros: Spinner, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vehicle = Vehicle(ros, bundle, flight_log=str(tmp_path / "new"), limits__vx=0.5, recovery=0.1)
    vehicle.fly().nominal()
    assert vehicle.until_reported("flight_log", "file=").level == b"\x00"
    low = overrides(limits__vx=0.02, limits__vy=0.02, minimum_rate=50.0)
    assert vehicle.node.set_parameters_atomically(low).successful
    vehicle.nominal()
    assert vehicle.node.trigger_deactivate() == OK
    vehicle.until(lambda: list((tmp_path / "new").glob("*.mcap")), "the file")
    (path,) = (tmp_path / "new").iterdir()
    assert path.name.startswith("drone_liquid_nav_node_2")
    assert identical(replayed(path, bundle))
    assert main(["replay", str(path), "--model", str(bundle)]) == 0
    printed = capsys.readouterr().out
    assert "settings as recorded: limits.vx 0.5" in printed
    assert "s on: limits.vx 0.02, limits.vy 0.02" in printed
    assert "messages lost: 0" in printed


def test_a_clock_that_goes_back_begins_another_file(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    vehicle = Vehicle(ros, bundle, use_sim_time=True, flight_log=str(tmp_path))
    clock = SimulatedTime(vehicle)
    clock.set(100.0)
    vehicle.fly().nominal()
    vehicle.stop(True)
    clock.set(3.0)
    vehicle.until_reported("controller", "stop")
    vehicle.stop(False)
    vehicle.nominal()
    assert vehicle.node.trigger_deactivate() == OK
    vehicle.until(lambda: len(list(tmp_path.glob("*.mcap"))) == 2, "both files")
    before, after = sorted(tmp_path.iterdir())
    for path, first in ((before, 100), (after, 3)):
        result = replayed(path, bundle)
        assert result.start // SECOND == first
        assert result.comparison is not None
        assert identical(result) if path is after else result.comparison.identical
        assert result.damage.lost == 0


def test_a_controller_that_is_killed_leaves_what_had_come(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    world = ros.node("world")
    commands: list[TwistStamped] = []
    world.create_subscription(TwistStamped, "cmd_vel", commands.append, 50)
    given = {"model": bundle, "flight_log": tmp_path}
    words = (word for pair in given.items() for word in ("-p", "{}:={}".format(*pair)))
    with Process("controller", *words) as controller:
        bring_up(ros, world)
        ros.until(lambda: len(commands) > 30, what="commands")
        controller.popen.send_signal(signal.SIGKILL)
    ros.until(lambda: list(tmp_path.glob("*.mcap")), what="the file")
    (path,) = tmp_path.iterdir()
    with Recording(path) as recording:
        sent = list(recording.messages({"/liquid_nav/command"}))
    assert len(sent) > 10


def test_a_folder_that_cannot_be_written_is_reported_and_the_node_flies_on(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    vehicle = Vehicle(ros, bundle, flight_log=str(tmp_path / "file")).fly().nominal()
    assert vehicle.until_reported("flight_log", "was not written").level == b"\x01"
    vehicle.nominal()
