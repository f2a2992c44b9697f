"""A flight of ours, recorded and played into the controller as `replay.launch.py` does it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.node_support import Process
from ros.ros_support import Spinner

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from diagnostic_msgs.msg import DiagnosticArray

from liquid_nav.bags.bag import Recording
from liquid_nav.controller import Controller
from liquid_nav.evaluation.flight import fly
from liquid_nav.onboard import load_policy
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.recording.topics import controller_parameters
from liquid_nav_sim.world import World

MODEL = Path(__file__).parents[2] / "models" / "target"


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def record(path: Path) -> None:
    policy, _ = load_policy(MODEL)
    with FlightRecorder(path, policy.config.camera) as recorder:

        def watch(event: Any, command: Any) -> None:
            recorder.event(event)
            recorder.command(command)

        fly(World(), Controller(policy), 99_000, watch)


def test_a_recording_of_ours_flies_the_controller_that_listens_to_its_topics(
    ros: Spinner, tmp_path: Path
) -> None:
    bag = tmp_path / "flight.mcap"
    record(bag)
    with Recording(bag) as recording:
        topics = controller_parameters(recording.topics)
    words: list[str] = []

    def on_report(array: DiagnosticArray) -> None:
        words.extend(s.message for s in array.status if "node: controller" in s.name)

    listener = ros.node("listener")
    listener.create_subscription(DiagnosticArray, "/diagnostics", on_report, 50)
    played = [word for name, value in topics.items() for word in ("-p", f"{name}:={value}")]
    replayed = ("use_sim_time:=true", "autostart:=true", "twist.topic:=replay/cmd_vel")
    played += [word for name in replayed for word in ("-p", name)]
    with (
        Process("controller", *played, "-p", "model:=target"),
        Process("player", "-p", f"bag:={bag}") as player,
    ):
        ros.until(lambda: any("nominal" in text for text in words), what="a nominal flight")
        player.popen.wait(120)


def test_the_player_names_the_topics_that_nobody_reads(ros: Spinner, tmp_path: Path) -> None:
    from sensor_msgs.msg import Imu

    bag, log = tmp_path / "flight.mcap", tmp_path / "log"
    record(bag)
    listener = ros.node("listener")
    listener.create_subscription(Imu, "/imu/data_raw", lambda _: None, 10)
    with (
        log.open("w") as sink,
        Process("player", "-p", f"bag:={bag}", "-p", "rate:=50.0", stderr=sink) as player,
    ):
        ros.until(lambda: player.popen.poll() is not None, 120, "the end of the bag")
    text = log.read_text()
    assert "nobody reads /camera/image_raw (sensor_msgs/msg/Image); if it is the camera" in text
    assert "nobody reads /imu/data_raw" not in text
    assert "operator_stop" not in text
