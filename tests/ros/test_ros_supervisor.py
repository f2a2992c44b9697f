"""The supervisor in its own process, and what it does when the controller's dies."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ros.node_support import PARAMETERS, Process, bring_up, is_rest, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter

from liquid_nav.events import SECOND
from liquid_nav.messages.decode import stamp_of
from liquid_nav.ros.executables import MISCONFIGURED
from liquid_nav.ros.heartbeat import HeartbeatSender
from liquid_nav.ros.supervisor import SupervisorNode


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def is_watching(ros: Spinner, world: Any) -> None:
    """Wait for diagnostics of a supervisor that hears the controller's heartbeat."""
    words: list[str] = []

    def on_report(array: DiagnosticArray) -> None:
        words.extend(s.message for s in array.status if "supervisor: controller" in s.name)

    subscription = world.create_subscription(DiagnosticArray, "/diagnostics", on_report, 20)
    ros.until(lambda: "alive" in words, what="a supervisor that hears the controller")
    world.destroy_subscription(subscription)


def test_a_killed_controller_is_followed_by_a_zero_command(ros: Spinner, tmp_path: Path) -> None:
    """Within 0.5 s: the best of three, as a machine may be too busy to keep any time."""
    bundle = save_small_bundle(tmp_path)
    silences = []
    while not silences or (min(silences) >= 0.5 and len(silences) < 3):
        silences.append(silence_after_a_kill(ros, bundle))
    assert min(silences) < 0.5, silences


def silence_after_a_kill(ros: Spinner, bundle: Path) -> float:
    """Seconds from the death of the controller to when the first zero command was sent."""
    world = ros.node("world")
    commands: list[TwistStamped] = []
    subscription = world.create_subscription(TwistStamped, "cmd_vel", commands.append, 50)
    with (
        Process("controller", "-p", f"model:={bundle}") as controller,
        Process("supervisor") as supervisor,
    ):
        bring_up(ros, world)
        ros.until(lambda: subscription.handle.get_publisher_count() == 2, what="a match with both")
        is_watching(ros, world)
        controller.popen.send_signal(signal.SIGKILL)
        controller.popen.wait()
        killed = time.time_ns()

        def after() -> list[TwistStamped]:
            return [m for m in commands if stamp_of(m.header.stamp) > killed]

        ros.until(lambda: len(after()) > 2, what="zero commands")
        assert all(map(is_rest, after()))
        assert supervisor.end(ros, signal.SIGTERM) == 0
    world.destroy_node()
    return (stamp_of(after()[0].header.stamp) - killed) / SECOND


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_a_zero_command(
    ros: Spinner, tmp_path: Path, number: signal.Signals
) -> None:
    world = ros.node("world")
    commands: list[TwistStamped] = []
    subscription = world.create_subscription(TwistStamped, "cmd_vel", commands.append, 50)
    bundle = save_small_bundle(tmp_path)
    files = ("--params-file", str(PARAMETERS))
    with Process("controller", *files, "-p", f"model:={bundle}") as controller:
        bring_up(ros, world)
        ros.until_matched(subscription)
        ros.until(lambda: commands, what="the first hover")
        # A transition that is none is answered by nobody, and ends nothing.
        client = world.create_client(ChangeState, "liquid_nav_node/change_state")
        ros.until_matched(client)
        client.call_async(
            ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CLEANUP))
        )
        commands.clear()
        ros.until(lambda: len(commands) > 5, what="commands all the same")
        commands.clear()
        assert controller.end(ros, number) == 0
        ros.until(lambda: commands, what="the last command")
        assert is_rest(commands[-1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_controller_imports_ends_it_without_a_word(
    ros: Spinner, number: signal.Signals
) -> None:
    with Process("controller", stderr=subprocess.PIPE) as controller:
        maps = Path(f"/proc/{controller.popen.pid}/maps")
        # OpenCV is the largest of what is imported.
        ros.until(lambda: "/cv2" in maps.read_text(), what="the midst of the imports")
        assert controller.end(ros, number) == 0
        assert controller.popen.stderr is not None
        assert controller.popen.stderr.read() == b""


def test_a_controller_that_cannot_start_is_one_line(ros: Spinner) -> None:
    with Process(
        "controller", "-p", "model:=/nowhere/at/all", "-p", "autostart:=true"
    ) as controller:
        assert controller.popen.wait(60) == MISCONFIGURED


class Supervised:
    """A supervisor, and the heartbeat of a controller that a test starts and stops."""

    def __init__(self, ros: Spinner, **parameters: Any):
        self.ros, self.commands = ros, []
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = SupervisorNode(context=ros.context, parameter_overrides=overrides)
        ros.add(node)
        world = ros.node("world")
        self.controller = HeartbeatSender(world, "liquid_nav_node/heartbeat")
        self.subscription = world.create_subscription(
            TwistStamped, "cmd_vel", self.commands.append, 50
        )
        self.ticks, self.alive = 0, False
        world.create_timer(0.05, self._tick)
        ros.until_matched(self.controller.publisher, self.subscription)

    def _tick(self) -> None:
        self.ticks += 1
        if self.alive:
            self.controller.send(True)

    def silent(self) -> bool:
        """Whether nothing comes for well over the timeout."""
        self.commands.clear()
        start = self.ticks
        self.ros.until(lambda: self.ticks > start + 15, what="time to pass")
        return not self.commands


def test_no_life_no_death(ros: Spinner) -> None:
    assert Supervised(ros).silent()


def test_an_orderly_leave_is_no_death(ros: Spinner) -> None:
    supervised = Supervised(ros)
    supervised.controller.send(True)
    ros.until(lambda: supervised.commands, what="the zero command")
    supervised.controller.send(False)
    ros.until(supervised.silent, what="silence")


def test_the_command_goes_back_with_the_heartbeat(ros: Spinner) -> None:
    supervised = Supervised(ros)
    supervised.controller.send(True)
    ros.until(lambda: len(supervised.commands) > 2, what="zero commands")
    assert all(map(is_rest, supervised.commands))
    supervised.alive = True
    ros.until(supervised.silent, what="silence")
    supervised.alive = False
    ros.until(lambda: supervised.commands, what="the second zero command")


def test_a_stall_of_the_whole_machine_is_no_death(ros: Spinner, tmp_path: Path) -> None:
    world = ros.node("world")
    controller = HeartbeatSender(world, "liquid_nav_node/heartbeat")
    ticks: list[None] = []

    def beat() -> None:
        ticks.append(None)
        controller.send(True)

    log = tmp_path / "log"
    with log.open("w") as sink, Process("supervisor", stderr=sink) as supervisor:
        ros.until_matched(controller.publisher)
        timer = world.create_timer(0.05, beat)
        ros.until(lambda: "supervised" in log.read_text(), what="the supervisor")
        timer.cancel()
        supervisor.popen.send_signal(signal.SIGSTOP)
        time.sleep(0.8)  # In a machine that stands still, nothing happens to wait for.
        supervisor.popen.send_signal(signal.SIGCONT)
        time.sleep(0.1)
        timer.reset()
        count = len(ticks) + 10
        ros.until(lambda: len(ticks) > count, what="heartbeats")
    assert "it is dead" not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_supervisor(ros: Spinner, number: signal.Signals) -> None:
    world = ros.node("world")
    topic = "liquid_nav_node/heartbeat"
    with Process("supervisor") as supervisor:
        ros.until(lambda: world.count_subscribers(topic) == 1, what="the supervisor")
        assert supervisor.end(ros, number) == 0


def test_a_plug_that_cannot_be_imported_is_logged_and_keeps_no_other_from_flying(
    ros: Spinner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "broken-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[liquid_nav.backends]\nbroken = no_such_module:Blimp\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    world = ros.node("world")
    log = tmp_path / "log"
    with log.open("w") as sink, Process("supervisor", stderr=sink) as supervisor:
        topic = "liquid_nav_node/heartbeat"
        ros.until(lambda: world.count_subscribers(topic) == 1, what="the supervisor")
        assert supervisor.end(ros, signal.SIGTERM) == 0
    assert re.search(r"\[WARN\].*'broken' at no_such_module:Blimp cannot be", log.read_text())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"backend": "px4"}, "px4_msgs"),
        ({"backend": "dronekit"}, "twist, mavros"),
        ({"backend": "ardupilot", "rate": 5.0}, "rate is 5 Hz.*10 Hz"),
    ],
)
def test_a_back_end_that_cannot_be_made_is_one_line(ros: Spinner, wrong: Any, reason: str) -> None:
    arguments = [word for name, value in wrong.items() for word in ("-p", f"{name}:={value}")]
    with Process("supervisor", *arguments, stderr=subprocess.PIPE) as supervisor:
        assert supervisor.popen.wait(60) == MISCONFIGURED
        assert supervisor.popen.stderr is not None
        assert re.search(rf"^error: .*{reason}.*\n$", supervisor.popen.stderr.read().decode())
