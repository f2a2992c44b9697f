"""The node's lifecycle over real DDS: why a transition fails, what is answered, what is told."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ros.node_support import OK, Vehicle, overrides, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile

from liquid_nav.errors import ConfigError
from liquid_nav.ros.backends import BACKENDS
from liquid_nav.ros.backends.twist import TwistBackend

FAILURE = TransitionCallbackReturn.FAILURE
LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


TWICE = "the same topic, /drone/"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"twist__topic": "cmd vel"}, ("twist.topic must be a valid name", "'cmd vel'")),
        ({"twist__topic": ""}, ("twist.topic must not be empty",)),
        ({"topics__imu": "imu data"}, ("topics.imu must be a valid name", "'imu data'")),
        ({"topics__image": "camera//image_raw"}, ("topics.image must be", "camera//image_raw")),
        ({"topics__image": "camera/"}, ("topics.image must be a valid name",)),
        ({"topics__goal": "2nd_goal"}, ("topics.goal must be a valid name",)),
        ({"topics__range": "range-finder"}, ("topics.range must be a valid name",)),
        ({"topics__imu": "x" * 300}, ("topics.imu must be a valid name",)),
        (
            {"use_camera_info": True, "topics__camera_info": ""},
            ("topics.camera_info is empty, but use_camera_info is true",),
        ),
        ({"topics__imu": "odometry"}, ("topics.imu", "topics.odometry", TWICE + "odometry")),
        ({"topics__imu": "/drone/odometry"}, ("topics.imu", "topics.odometry", TWICE)),
        ({"twist__topic": "imu"}, ("twist.topic", "topics.imu", TWICE + "imu")),
        ({"topics__imu": "liquid_nav_node/heartbeat"}, ("topics.imu", "the heartbeat", TWICE)),
        ({"topics__goal": "~/status"}, ("topics.goal", "the status", TWICE)),
        ({"topics__goal": "/diagnostics"}, ("topics.goal", "the diagnostics")),
        (
            {"geofence__enabled": True, "topics__odometry": ""},
            ("geofence.enabled needs odometry", "topics.odometry"),
        ),
        ({"backend": "dronekit"}, ("backend: there is no back-end 'dronekit'",)),
        ({"model": "none_such"}, ("model: no model bundle",)),
        ({"model_sha256": "0" * 64}, ("model: the SHA-256",)),
        ({"image_bits": 9}, ("image_bits must be one of",)),
        ({"backend": "crazyswarm2", "crazyswarm2__robot": "cf 1"}, ("crazyswarm2.robot",)),
        ({"backend": "mavros", "mavros__namespace": "/my mavros"}, ("mavros.namespace",)),
        ({"backend": "ardupilot", "ardupilot__topic": "ap//cmd"}, ("ardupilot.topic",)),
    ],
)
def test_a_topic_that_cannot_be_keeps_the_node_from_starting_and_names_its_parameter(
    ros: Spinner,
    bundle: Path,
    capfd: pytest.CaptureFixture[str],
    wrong: Any,
    words: tuple[str, ...],
) -> None:
    with pytest.raises(ConfigError) as caught:
        Vehicle(ros, bundle, autostart=True, **wrong)
    logged = [line for line in capfd.readouterr().err.splitlines() if "[ERROR]" in line]
    assert len(logged) == 1
    for word in words:
        assert word in str(caught.value)
        assert word in logged[0]


def test_names_that_ros_allows_are_taken(ros: Spinner, bundle: Path) -> None:
    topics = {
        "topics__imu": "~/imu",
        "topics__image": "/front/camera_2/image_raw",
        "topics__goal": "{node}/goal",
        "topics__odometry": "",
        "twist__topic": "a/_b/C9",
    }
    vehicle = Vehicle(ros, bundle, **topics)
    assert vehicle.node.trigger_configure() == OK
    assert vehicle.node.trigger_activate() == OK


def test_a_wrong_topic_can_be_set_right_before_the_node_is_configured(
    ros: Spinner, bundle: Path
) -> None:
    node = Vehicle(ros, bundle, topics__imu="imu data").node
    assert node.trigger_configure() == FAILURE
    (result,) = node.set_parameters(overrides(topics__imu="imu//data"))
    assert not result.successful
    assert "topics.imu must be a valid name" in result.reason
    (result,) = node.set_parameters(overrides(topics__imu="imu/data"))
    assert result.successful
    assert node.trigger_configure() == OK


class Failing(TwistBackend):
    """A back-end that raises where it is told to."""

    name = "failing"
    where = ""

    def configure(self, node: Any) -> None:
        super().configure(node)
        self._raise("configure")

    def command(self, *arguments: Any) -> Any:
        self._raise("command")
        return super().command(*arguments)

    def deactivate(self) -> None:
        self._raise("deactivate")
        super().deactivate()

    def _raise(self, where: str) -> None:
        if where == self.where:
            raise OSError(f"no {where}")


def test_a_transition_that_raises_says_so_and_leaves_the_node_usable(
    ros: Spinner, bundle: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BACKENDS._parts, "failing", Failing)
    monkeypatch.setattr(Failing, "where", "configure")
    vehicle = Vehicle(ros, bundle, backend="failing")
    node = vehicle.node
    assert node.trigger_configure() == FAILURE
    assert "cannot configure: OSError: no configure" in capfd.readouterr().err
    assert not [p for p in node._publishers if p.topic_name.endswith("cmd_vel")]

    Failing.where = ""
    assert node.trigger_configure() == OK
    original = node._flight.sensors.listen

    def listen() -> None:
        original()
        raise OSError("no sensors")

    node._flight.sensors.listen = listen
    assert node.trigger_activate() == FAILURE
    assert "cannot activate: OSError: no sensors" in capfd.readouterr().err
    assert not [s for s in node._subscriptions if s.topic_name.endswith("/imu")]
    node._flight.sensors.listen = original
    activate(vehicle)

    Failing.where = "command"
    assert node.trigger_deactivate() == OK
    assert "deactivated: OSError: no command" in capfd.readouterr().err
    assert not [s for s in node._subscriptions if s.topic_name.endswith("/imu")]
    Failing.where = ""
    activate(vehicle)


def activate(vehicle: Vehicle) -> None:
    """Activate a configured node, and fly until it is nominal."""
    assert vehicle.node.trigger_activate() == OK
    vehicle.ros.until_matched(vehicle.image, vehicle.imu, vehicle.command_reader)
    vehicle.nominal()


def test_a_sensor_that_cannot_be_subscribed_to_is_named(
    ros: Spinner, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    vehicle = Vehicle(ros, bundle, topics__imu="other")
    assert vehicle.node.trigger_configure() == OK
    # The process uses the topic with another type by now; DDS refuses the second.
    vehicle.world.create_publisher(DiagnosticStatus, "other", 1)
    assert vehicle.node.trigger_activate() == FAILURE
    assert "topics.imu: cannot read sensor_msgs/msg/Imu on 'other'" in capfd.readouterr().err


class Asking(Vehicle):
    """A vehicle whose lifecycle is asked for over its service, and whose status is read."""

    def __init__(self, ros: Spinner, bundle: Path, **parameters: Any):
        super().__init__(ros, bundle, **parameters)
        self.client = self.world.create_client(ChangeState, "liquid_nav_node/change_state")
        self.statuses: list[DiagnosticStatus] = []
        reader = self.world.create_subscription(
            DiagnosticStatus, "liquid_nav_node/status", self.statuses.append, LATCHED
        )
        ros.until_matched(self.client, reader)

    def ask(self, number: int = 0, label: str = "") -> bool:
        request = ChangeState.Request(transition=Transition(id=number, label=label))
        future = self.client.call_async(request)
        self.ros.until(future.done, 20, f"an answer to {label or number}")
        return bool(future.result().success)

    def told(self) -> list[str]:
        """The messages so far, without the limits in nominal flight."""
        words = [s.message.replace("nominal: limits", "nominal") for s in self.statuses]
        return [word for word, _ in itertools.groupby(w.partition(": limits")[0] for w in words)]

    def until_told(self, words: str) -> DiagnosticStatus:
        found: list[DiagnosticStatus] = []

        def look() -> bool:
            found[:] = [status for status in self.statuses if words in status.message]
            return bool(found)

        self.until(look, f"{words!r} on the status topic")
        return found[-1]


def test_every_request_for_a_transition_is_answered(
    ros: Spinner, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    vehicle = Asking(ros, bundle)
    assert not vehicle.ask(Transition.TRANSITION_ACTIVATE)
    said = capfd.readouterr().err
    assert "the node is unconfigured, and has no transition 3 from there" in said
    assert "possible: configure (1)" in said
    assert not vehicle.ask(99)
    assert not vehicle.ask(label="fly")
    assert not vehicle.ask(Transition.TRANSITION_CALLBACK_SUCCESS)
    assert vehicle.ask(Transition.TRANSITION_CONFIGURE)
    assert not vehicle.ask(Transition.TRANSITION_CONFIGURE)
    assert vehicle.ask(label="activate")
    assert not vehicle.ask(Transition.TRANSITION_CLEANUP)
    assert not vehicle.ask(label="cleanup")
    assert vehicle.ask(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert not vehicle.ask(Transition.TRANSITION_CONFIGURE)
    assert "the node is finalized" in capfd.readouterr().err


def test_a_request_during_a_transition_is_answered(
    ros: Spinner, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    vehicle = Asking(ros, bundle)
    with vehicle.node._in_transition:
        assert not vehicle.ask(Transition.TRANSITION_CONFIGURE)
    assert "another transition is in progress" in capfd.readouterr().err
    assert vehicle.ask(Transition.TRANSITION_CONFIGURE)


def test_the_status_topic_tells_every_change_and_the_last_one_to_who_comes_late(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Asking(ros, bundle, staleness__imu__hover=0.3, staleness__imu__land=0.6, recovery=0.2)
    vehicle.fly().nominal()
    nominal = vehicle.until_told("nominal")
    assert (nominal.level, nominal.name) == (b"\x00", "/drone/liquid_nav_node: status")
    vehicle.until_told("hover: imu: stale for more than 0.3 s")
    land = vehicle.until_told("land: imu: stale for more than 0.6 s")
    assert land.level == b"\x02"
    values = {pair.key: pair.value for pair in land.values}
    assert values["mode"] == "land"
    assert values["reason"].startswith("imu: stale for more than 0.6 s")
    assert float(values["stamp"]) > 1e9
    vehicle.nominal()
    vehicle.stop(True)
    vehicle.until_told("stop: operator stop")
    assert vehicle.node.trigger_deactivate() == OK
    vehicle.until_told("inactive: deactivated")
    assert vehicle.node.trigger_cleanup() == OK
    vehicle.until_told("unconfigured: cleaned up")
    told = vehicle.told()
    expected = [
        "unconfigured: started",
        "inactive: configured",
        "nominal",
        "hover: imu: stale for more than 0.3 s",
        "land: imu: stale for more than 0.6 s",
        "nominal",
        "stop: operator stop",
        "inactive: deactivated",
        "unconfigured: cleaned up",
    ]
    left = iter(told)
    assert all(any(word.startswith(wanted) for word in left) for wanted in expected), told
    late: list[DiagnosticStatus] = []
    newest = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    vehicle.world.create_subscription(
        DiagnosticStatus, "liquid_nav_node/status", late.append, newest
    )
    vehicle.until(
        lambda: late and late[-1].message == "unconfigured: cleaned up", "the last status"
    )


def test_a_failed_configuration_is_on_the_status_topic_and_in_the_diagnostics(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Asking(ros, bundle, topics__imu="imu data")
    assert not vehicle.ask(Transition.TRANSITION_CONFIGURE)
    vehicle.until_told("unconfigured: cannot configure: topics.imu must be a valid name")
    vehicle.until_reported("controller", "not active: topics.imu must be a valid name")


def test_changes_of_parameters_that_cannot_take_effect_are_refused(
    ros: Spinner, bundle: Path
) -> None:
    vehicle = Vehicle(ros, bundle)
    node = vehicle.node

    def refused(**values: Any) -> str:
        result = node.set_parameters_atomically(overrides(**values))
        assert not result.successful
        return str(result.reason)

    assert "executor is read only when the node starts" in refused(executor="single")
    assert "autostart is read only when the node starts" in refused(autostart=True)
    assert "twist.topic must be a valid name" in refused(twist__topic="a b")
    vehicle.fly().nominal()
    assert "use_sim_time cannot change in flight" in refused(use_sim_time=True)
    vehicle.nominal()
    assert node.trigger_deactivate() == OK
    assert node.set_parameters_atomically(overrides(use_sim_time=True)).successful


def test_two_hundred_random_requests_while_sensors_stream(ros: Spinner, bundle: Path) -> None:
    """Each is answered as the state allows, and nothing is left behind."""
    vehicle = Asking(ros, bundle)
    allowed = {
        "unconfigured": {Transition.TRANSITION_CONFIGURE: "inactive"},
        "inactive": {
            Transition.TRANSITION_CLEANUP: "unconfigured",
            Transition.TRANSITION_ACTIVATE: "active",
        },
        "active": {Transition.TRANSITION_DEACTIVATE: "inactive"},
    }
    requests = [1, 1, 2, 3, 3, 4, 99]
    random, state = Random(7), "unconfigured"
    vehicle.sensing = True
    before = endpoints(vehicle)
    for _ in range(200):
        number = random.choice(requests)
        expected = allowed[state].get(number)
        assert vehicle.ask(number) == (expected is not None)
        state = expected or state
        assert vehicle.node._state_machine.current_state[1] == state
    while state != "unconfigured":
        number, state = next(iter(allowed[state].items()))
        assert vehicle.ask(number)
    assert endpoints(vehicle) == before
    vehicle.fly().nominal()


def endpoints(vehicle: Vehicle) -> dict[str, list[str]]:
    """Topics of the node's publishers and subscriptions, and the periods of its timers."""
    node = vehicle.node
    return {
        "published": sorted(publisher.topic_name for publisher in node._publishers),
        "read": sorted(subscription.topic_name for subscription in node._subscriptions),
        "timers": sorted(str(timer.timer_period_ns) for timer in node._timers),
    }
