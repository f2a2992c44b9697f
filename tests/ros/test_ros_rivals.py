"""Two controllers of one name, and supervisors that are gone or out of place: over DDS."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ros.node_support import OK, Process, Vehicle, bring_up, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from rclpy.lifecycle import TransitionCallbackReturn

from liquid_nav.command import Mode
from liquid_nav.messages.decode import MessageError
from liquid_nav.ros.heartbeat import Heartbeat, HeartbeatReader, HeartbeatSender
from liquid_nav.ros.process import MISCONFIGURED

GUARD = "/liquid_nav_supervisor: controller"
NODE = "/liquid_nav_node: controller"
SUPERVISOR = "/liquid_nav_node: supervisor"


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save_small_bundle(tmp_path)


class Listener:
    """Reads diagnostics, commands and the heartbeats of controllers."""

    def __init__(self, ros: Spinner):
        self.ros, self.world = ros, ros.node("world")
        self.words: dict[str, str] = {}
        self.commands: list[TwistStamped] = []
        self.world.create_subscription(DiagnosticArray, "/diagnostics", self._on_report, 50)
        self.reader = self.world.create_subscription(
            TwistStamped, "cmd_vel", self.commands.append, 50
        )
        self.controllers = HeartbeatReader(self.world, "liquid_nav_node/heartbeat")

    def _on_report(self, array: DiagnosticArray) -> None:
        self.words.update({status.name: status.message for status in array.status})

    def said(self, words: str, name: str = GUARD) -> None:
        self.ros.until(lambda: words in self.words.get(name, ""), what=f"{words!r} of {name}")

    def active(self) -> set[str]:
        """Process ids of the controllers that say that they are active."""
        alive = self.controllers.alive()
        return {heartbeat.process.split()[0] for heartbeat in alive if heartbeat.active}


def test_a_second_controller_of_one_name_does_not_fly_and_names_the_first(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    """It does not start; or, on a machine too busy to discover the first in time, it yields."""
    listener, log = Listener(ros), tmp_path / "log"
    words = ("-p", f"model:={bundle}", "-p", "autostart:=true")
    with Process("controller", *words) as first, log.open("w") as sink:
        ros.until(lambda: listener.active() == {str(first.popen.pid)}, what="the first")
        reason = re.compile(
            r"another controller of this name is active: /liquid_nav_node "
            rf"\(process {first.popen.pid} on .*\)"
        )
        with Process("controller", *words, stderr=sink) as second:
            ros.until(lambda: reason.search(log.read_text()), what="the reason")
            if "deactivated" not in log.read_text():
                assert second.popen.wait(60) == MISCONFIGURED
            ros.until(lambda: listener.active() == {str(first.popen.pid)}, what="the first alone")


def test_of_two_active_controllers_the_later_one_yields_and_hides_no_death(
    ros: Spinner, bundle: Path, tmp_path: Path
) -> None:
    """Both activate before they know of each other, as in two parts of a network that meet."""
    listener = Listener(ros)
    words = ("-p", f"model:={bundle}", "-p", "autostart:=true")
    log = tmp_path / "log"
    with (
        Process("supervisor"),
        Process("controller", *words) as first,
        log.open("w") as sink,
    ):
        listener.said("alive")
        # The second one finds no other: the first hangs. Then that goes on.
        first.popen.send_signal(signal.SIGSTOP)
        listener.said("dead")
        with Process("controller", *words, stderr=sink) as second:
            ros.until(lambda: listener.active() == {str(second.popen.pid)}, what="the second")
            first.popen.send_signal(signal.SIGCONT)
            listener.said("not active: another controller of this name is active", NODE)
            ros.until(lambda: listener.active() == {str(second.popen.pid)}, what="the second")
            listener.said("alive")
            second.popen.send_signal(signal.SIGKILL)
            second.popen.wait()
            listener.said("dead: zero commands")


def test_a_controller_is_not_activated_beside_an_active_one(ros: Spinner, bundle: Path) -> None:
    listener = Listener(ros)
    words = ("-p", f"model:={bundle}")
    with Process("controller", *words):
        bring_up(ros, listener.world)
        second = Vehicle(ros, bundle, "/")
        assert second.node.trigger_configure() == OK
        ros.until(lambda: second.node._supervision.rival(), what="the other's heartbeat")
        assert second.node.trigger_activate() == TransitionCallbackReturn.FAILURE
        assert "another controller of this name is active" in second.node._failure
        # It is there to take its place.
    ros.until(lambda: not second.node._supervision.rival(), what="the end of the other")
    assert second.node.trigger_activate() == OK


def test_the_heartbeat_of_another_hides_no_death(ros: Spinner) -> None:
    """A controller that was never active says that it is not, while the active one dies."""
    listener = Listener(ros)
    active, other = (HeartbeatSender(listener.world, "liquid_nav_node/heartbeat") for _ in "ab")
    ticks: list[None] = []
    listener.world.create_timer(0.05, lambda: (ticks.append(None), other.send(False)))
    with Process("supervisor"):
        ros.until_matched(other.publisher, listener.reader)
        # The supervisor, and the listener itself.
        ros.until(lambda: active.publisher.get_subscription_count() == 2, what="the supervisor")
        active.send(True)
        ros.until(lambda: listener.commands, what="the zero command")
        listener.said("dead")
        # Nor does it give the vehicle back to one that is not active.
        count = len(ticks)
        ros.until(lambda: len(ticks) > count + 40, what="time to pass")
        assert listener.words[GUARD].startswith("dead")


def test_two_that_command_one_vehicle_are_told(ros: Spinner) -> None:
    listener = Listener(ros)
    senders = [HeartbeatSender(listener.world, "liquid_nav_node/heartbeat") for _ in "ab"]
    listener.world.create_timer(0.05, lambda: [sender.send(True) for sender in senders])
    with Process("supervisor"):
        listener.said("2 controllers command one vehicle")


def test_a_supervisor_that_is_killed_is_missed(ros: Spinner, bundle: Path) -> None:
    listener = Listener(ros)
    with (
        Process("controller", "-p", f"model:={bundle}"),
        Process("supervisor") as supervisor,
    ):
        bring_up(ros, listener.world)
        listener.said("OK", SUPERVISOR)
        supervisor.popen.send_signal(signal.SIGKILL)
        supervisor.popen.wait()
        ros.until(
            lambda: "no supervisor is alive: the last" in listener.words[SUPERVISOR],
            3.0,
            "the diagnostics of a controller without a supervisor",
        )


def test_two_supervisors_are_told(ros: Spinner, bundle: Path) -> None:
    listener = Listener(ros)
    with Process("controller", "-p", f"model:={bundle}"):
        bring_up(ros, listener.world)
        with Process("supervisor"), Process("supervisor"):
            listener.said("2 supervisors would take over at once", SUPERVISOR)


def test_a_supervisor_that_would_command_elsewhere_is_told_by_both(
    ros: Spinner, bundle: Path
) -> None:
    listener = Listener(ros)
    with (
        Process("controller", "-p", f"model:={bundle}"),
        Process("supervisor", "-p", "twist.topic:=elsewhere"),
    ):
        bring_up(ros, listener.world)
        listener.said("cannot take over: the controller sends to /cmd_vel")
        listener.said("the supervisor cannot take over: it sends to /elsewhere", SUPERVISOR)


def test_a_heartbeat_is_read_as_it_was_sent() -> None:
    sent = Heartbeat(
        "/drone/liquid_nav_node",
        "0123",
        "active",
        Mode.LAND,
        "imu: stale",
        since=123,
        process="7 on pi",
        backend="crazyswarm2",
        topics="/cf1/cmd_hover",
        landing_speed=0.3,
        handover={"height": "0.1"},
    )
    assert Heartbeat.of(sent.message()) == sent
    assert Heartbeat.of(DiagnosticStatus(hardware_id="0")) == Heartbeat("", "0", "")


@pytest.mark.parametrize("values", [{"mode": "loop"}, {"since": "ago"}, {"landing_speed": "nan"}])
def test_a_heartbeat_that_cannot_be_read_is_one_error(values: dict[str, str]) -> None:
    message = Heartbeat("/node", "0123").message()
    for pair in message.values:
        pair.value = values.get(pair.key, pair.value)
    with pytest.raises(MessageError, match=f"{next(iter(values.values()))}"):
        Heartbeat.of(message)
    with pytest.raises(MessageError, match="identity"):
        Heartbeat.of(DiagnosticStatus())


def test_what_is_no_heartbeat_ends_no_supervisor(ros: Spinner) -> None:
    listener = Listener(ros)
    stranger = listener.world.create_publisher(DiagnosticStatus, "liquid_nav_node/heartbeat", 1)
    controller = HeartbeatSender(listener.world, "liquid_nav_node/heartbeat")
    listener.world.create_timer(0.05, lambda: stranger.publish(DiagnosticStatus()))
    with Process("supervisor"):
        ros.until_matched(stranger, controller.publisher)
        words = {"backend": "twist", "topics": "/cmd_vel"}
        listener.world.create_timer(0.05, lambda: controller.send(True, **words))
        listener.said("alive")
