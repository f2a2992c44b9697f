"""The black box over real DDS: what calls for a file, what is in it, and what cannot harm."""

import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.node_support import OK, Process, Vehicle, bring_up, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")
pytest.importorskip("mcap")
pytest.importorskip("rosbags")

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.command import Command
from liquid_nav.events import Event
from liquid_nav.onboard import load_policy
from liquid_nav.replay.calibration import find_camera_info
from liquid_nav.replay.decoder import EventDecoder
from liquid_nav.replay.run import replay
from liquid_nav.replay.timeline import Cut, Recorded, timeline
from liquid_nav.replay.topics import Topics, find
from replay.replay_support import same


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


class Witnessed(Vehicle):
    """A vehicle with a black box, and a second memory of what entered and what was sent."""

    def __init__(self, ros: Spinner, bundle: Path, folder: Path, **parameters: Any):
        parameters = {
            "black_box__seconds": 600.0,
            "black_box__folder": str(folder),
            "black_box__after": 0.5,
            "staleness__camera__hover": 0.5,
            "staleness__camera__land": 60.0,
        } | parameters
        super().__init__(ros, bundle, **parameters)
        self.folder = folder
        self.entered: list[Event] = []
        self.sent: list[Command] = []

    def fly(self) -> "Witnessed":
        assert self.node.trigger_configure() == OK
        flight = self.node._flight
        assert flight is not None
        on_event, send = flight.controller.on_event, flight.backend.command

        def listen(event: Event) -> None:
            self.entered.append(event)
            on_event(event)

        def watch(command: Command, *rest: Any) -> None:
            self.sent.append(command)
            send(command, *rest)

        flight.controller.on_event, flight.backend.command = listen, watch
        assert self.node.trigger_activate() == OK
        self.ros.until_matched(self.image, self.imu, self.command_reader, self.reports)
        return self

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.mcap"))

    def until_files(self, count: int) -> list[Path]:
        self.until(lambda: len(self.files) >= count, f"{count} files")
        return self.files


def events_of(path: Path, vehicle: Vehicle) -> list[Event | Recorded]:
    camera = vehicle.node._flight.policy.config.camera
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=True)
        decoder = EventDecoder(topics, camera, find_camera_info(recording, topics), None)
        damage = Damage()
        read = list(timeline(recording, topics, decoder, Cut(), damage))
        assert damage.lost == 0
        return read


def test_a_stale_camera_leads_to_one_file_that_replays_to_what_was_sent(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    vehicle = Witnessed(ros, bundle, tmp_path / "new" / "folder")
    vehicle.fly().nominal()
    vehicle.world.create_timer(0.02, lambda: vehicle.imu.publish(vehicle.sample()))
    vehicle.until_reported("controller", "camera: stale")
    (path,) = vehicle.until_files(1)
    assert path.name.startswith("drone_liquid_nav_node_2")
    vehicle.until_reported("black_box", "files=1")
    assert f"last_file={path}" in vehicle.words("black_box")

    read = events_of(path, vehicle)
    events = [item for item in read if isinstance(item, Event)]
    commands = [item for item in read if isinstance(item, Recorded)]
    assert len(events) > 20
    pairs = zip(events, vehicle.entered[: len(events)], strict=True)
    assert all(same(held, entered) for held, entered in pairs)
    assert [(c.arrival, c.vector) for c in commands] == [
        (c.stamp, c.vector) for c in vehicle.sent[: len(commands)]
    ]
    modes = [c.mode.value for c in vehicle.sent[: len(commands)]]
    after = modes[modes.index("nominal") :]
    assert "hover" in after, "what followed is in the file"

    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=True)
        result = replay(
            recording,
            topics,
            load_policy(bundle)[0],
            camera_info=find_camera_info(recording, topics),
        )
    assert result.comparison is not None
    assert result.comparison.identical
    assert len(result.comparison.times) == len(commands)
    assert vehicle.files == [path]


def test_the_operators_stop_writes_one(ros: Spinner, bundle: Path, tmp_path: Path) -> None:
    vehicle = Witnessed(ros, bundle, tmp_path)
    vehicle.fly().nominal()
    vehicle.stop(True)
    (path,) = vehicle.until_files(1)
    stops = [e for e in events_of(path, vehicle) if type(e).__name__ == "OperatorStop"]
    assert len(stops) == 1


def test_no_two_files_are_closer_than_the_pause(ros: Spinner, bundle: Path, tmp_path: Path) -> None:
    vehicle = Witnessed(ros, bundle, tmp_path, black_box__after=0.0, black_box__pause=3600.0)
    vehicle.fly().nominal()
    vehicle.stop(True)
    vehicle.until_files(1)
    vehicle.stop(False)
    vehicle.nominal()
    vehicle.stop(True)
    vehicle.stop(False)
    vehicle.nominal()
    assert len(vehicle.files) == 1
    # What waits is not lost: it is written when the flight ends.
    assert vehicle.node.trigger_deactivate() == OK
    assert len(vehicle.until_files(2)) == 2


def test_a_file_that_is_due_is_written_at_the_end(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    vehicle = Witnessed(ros, bundle, tmp_path, black_box__after=60.0)
    vehicle.fly().nominal()
    vehicle.stop(True)
    sent = vehicle.sent
    assert vehicle.node.trigger_deactivate() == OK
    (path,) = vehicle.until_files(1)
    commands = [item for item in events_of(path, vehicle) if isinstance(item, Recorded)]
    assert [c.arrival for c in commands] == [c.stamp for c in sent]


def test_a_signal_that_ends_the_node_leaves_the_file(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    from geometry_msgs.msg import TwistStamped
    from std_srvs.srv import SetBool

    given = {"model": bundle, "black_box.seconds": 60.0, "black_box.folder": tmp_path}
    words = (word for pair in given.items() for word in ("-p", "{}:={}".format(*pair)))
    world = ros.node("world")
    commands: list[TwistStamped] = []
    world.create_subscription(TwistStamped, "cmd_vel", commands.append, 10)
    with Process("controller", *words) as controller:
        bring_up(ros, world)
        client = world.create_client(SetBool, "liquid_nav_node/stop")
        ros.until_matched(client)
        # The stop that a flight begins with calls for no file.
        ros.until(lambda: commands, what="a command")
        future = client.call_async(SetBool.Request(data=True))
        ros.until(future.done, what="the stop service")
        assert controller.end(ros, signal.SIGINT) == 0
    ros.until(lambda: list(tmp_path.glob("liquid_nav_node_*.mcap")), what="the file")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_flight_without_failsafe_leaves_no_file(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    vehicle = Witnessed(ros, bundle, tmp_path, staleness__camera__hover=50.0)
    vehicle.fly().nominal()
    vehicle.until_reported("black_box", "held_mb")
    assert vehicle.node.trigger_deactivate() == OK
    assert vehicle.node.trigger_cleanup() == OK
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_reported_and_the_node_flies_on(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    vehicle = Witnessed(ros, bundle, tmp_path / "file", black_box__after=0.0)
    vehicle.fly().nominal()
    vehicle.stop(True)
    status = vehicle.until_reported("black_box", "was not written")
    assert status.level == b"\x01"
    assert "FileExistsError" in status.message or "NotADirectoryError" in status.message
    vehicle.stop(False)
    vehicle.nominal()


def test_without_the_extra_it_says_so_and_flies(
    ros: Spinner, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "mcap" else find_spec(name, *a),
    )
    vehicle = Witnessed(ros, bundle, tmp_path, black_box__after=0.0)
    vehicle.fly().nominal()
    vehicle.stop(True)
    vehicle.until_reported("controller", "stop: operator stop")
    assert "black_box" not in vehicle.diagnostics
    assert list(tmp_path.iterdir()) == []
