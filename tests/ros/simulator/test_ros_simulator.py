"""The simulator node as its users see it: what it publishes, when it waits, what it refuses."""

import math
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pybullet
import pytest

from ros.node_support import Process, overrides
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, Imu, Range
from std_srvs.srv import Trigger

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import SECOND, CameraFrame, ImuSample
from liquid_nav.messages.decode import stamp_of
from liquid_nav.ros.executables import MISCONFIGURED
from liquid_nav.ros.parameters import read
from liquid_nav.ros.simulator.node import SimulatorNode
from liquid_nav.ros.simulator.parameters import SPECS
from liquid_nav_sim.vehicle.files import load_vehicle
from liquid_nav_sim.world import World

SEED = 7
FORWARD = (0.4, 0.1, 0.05, 0.2)
PARAMETERS = Path(__file__).parents[3] / "config" / "liquid_nav_sim.yaml"


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


@pytest.fixture(autouse=True)
def no_other_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No simulator here waits to discover the clock of another one: a domain has one node."""
    monkeypatch.setattr("liquid_nav.ros.clock._DISCOVERY", 0.0)


class Drone:
    """A simulator node, and a pilot that answers every message of /clock with one command."""

    def __init__(self, ros: Spinner, namespace: str = "", **parameters: Any):
        parameters = {"pace": "lock_step", "lock_step_timeout": 300.0, "seed": SEED} | parameters
        self.ros, self.command, self.silent, self.now = ros, FORWARD, False, -1
        self.node = SimulatorNode(
            context=ros.context, namespace=namespace, parameter_overrides=overrides(**parameters)
        )
        ros.add(self.node)
        self.pilot = ros.node("pilot", namespace=namespace)
        self.clock: list[int] = []
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.imus: list[Imu] = []
        self.odometry: list[Odometry] = []
        self.stamped = parameters.get("stamped", True)
        self.command_publisher = self.pilot.create_publisher(
            TwistStamped if self.stamped else Twist, "cmd_vel", 10
        )
        self.subscriptions = [
            self.pilot.create_subscription(kind, topic, self._keep(kept), 1000)
            for kind, topic, kept in (
                (Image, "camera/image_raw", self.images),
                (CameraInfo, "camera/camera_info", self.infos),
                (Imu, "imu", self.imus),
                (Odometry, "odometry", self.odometry),
            )
        ]
        self.subscriptions.append(
            self.pilot.create_subscription(Clock, "/clock", self._on_clock, 1000)
        )

    def _keep(self, kept: list[Any]) -> Any:
        def keep(message: Any) -> None:
            if kept and stamp(message) < stamp(kept[-1]):
                kept.clear()  # Another flight has begun.
            kept.append(message)

        return keep

    def _on_clock(self, message: Clock) -> None:
        self.now = stamp_of(message.clock)
        if self.clock and self.now < self.clock[-1]:
            self.clock.clear()
        self.clock.append(self.now)
        if not self.silent:
            self.send(self.command)

    def send(self, command: tuple[float, ...]) -> None:
        message: Any = TwistStamped() if self.stamped else Twist()
        twist = message.twist if self.stamped else message
        twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.z = command
        if self.stamped:
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(self.now, SECOND)
        self.command_publisher.publish(message)

    def until(self, predicate: Any, what: str) -> "Drone":
        self.ros.until(predicate, 120, what)
        return self

    def call(self, service: str) -> Trigger.Response:
        client = self.pilot.create_client(Trigger, f"liquid_nav_sim_node/{service}")
        self.ros.until_matched(client)
        future = client.call_async(Trigger.Request())
        self.until(future.done, service)
        return future.result()

    def set(self, **values: Any) -> list[str]:
        """Set parameters, and return the reasons of those that were refused."""
        parameters = [Parameter(name.replace("__", "."), value=v) for name, v in values.items()]
        results = self.node.set_parameters(parameters)
        return [result.reason for result in results if not result.successful]

    def break_now(self, **fault: Any) -> int:
        """Inject a fault, and return the time from which on it acts, ns."""
        assert self.set(**{f"fault__{name}": value for name, value in fault.items()}) == []
        answer = self.call("inject_fault")
        assert answer.success, answer.message
        return int(self.node.world.time)

    def outcomes(self) -> list[dict[str, str]]:
        """Outcomes that a new subscriber receives, a list that grows with every outcome."""
        received: list[dict[str, str]] = []

        def on_outcome(status: DiagnosticStatus) -> None:
            received.append({pair.key: pair.value for pair in status.values})

        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.subscriptions.append(
            self.pilot.create_subscription(
                DiagnosticStatus, "liquid_nav_sim_node/outcome", on_outcome, latched
            )
        )
        return received


def stamp(message: Any) -> int:
    return stamp_of(message.header.stamp)


def stamps(kept: list[Any]) -> list[int]:
    return [stamp(message) for message in kept]


def content(imu: Imu) -> tuple[float, ...]:
    rate, force = imu.angular_velocity, imu.linear_acceleration
    return (rate.x, rate.y, rate.z, force.x, force.y, force.z)


def test_the_topics_carry_what_the_world_measures(ros: Spinner) -> None:
    drone = Drone(ros)
    drone.until(lambda: len(drone.images) > 8 and len(drone.odometry) > 15, "measurements")
    drone.silent = True
    world = World()
    world.reset(SEED)
    world.command(Command(0, *FORWARD))
    frames, samples, arrivals, states = [], [], [], {}
    while len(frames) < 8:
        event = world.next_event(world.time + world.config.step)
        states[world.time] = world.state
        if event is not None:
            arrivals.append(event.arrival)
        if isinstance(event, CameraFrame):
            frames.append(event)
        elif isinstance(event, ImuSample):
            samples.append(event)
    world.close()
    assert drone.clock[0] == 0
    assert drone.clock == sorted(drone.clock)
    assert set(arrivals) <= set(drone.clock)
    for image, info, frame in zip(drone.images, drone.infos, frames, strict=False):
        assert stamp(image) == stamp(info) == frame.stamp
        assert image.header.frame_id == info.header.frame_id == "camera_optical_frame"
        assert (image.encoding, image.step, image.is_bigendian) == ("rgb8", 3 * image.width, 0)
        assert (info.height, info.width) == (image.height, image.width) == frame.image.shape[:2]
        assert image.data.tobytes() == frame.image.tobytes()
        focal = info.width / 2 / math.tan(world.config.sensor("camera").model.horizontal_fov / 2)
        centre = ((info.width - 1) / 2, (info.height - 1) / 2)
        k = [focal, 0, centre[0], 0, focal, centre[1], 0, 0, 1]
        np.testing.assert_allclose(info.k, k, rtol=1e-12)
        np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3].ravel(), info.k)
        assert not info.p.reshape(3, 4)[:, 3].any()
        np.testing.assert_array_equal(info.r, np.eye(3).ravel())
        assert (info.distortion_model, list(info.d)) == ("plumb_bob", [0.0] * 5)
    assert len(samples) > 30
    for imu, sample in zip(drone.imus, samples, strict=False):
        assert (stamp(imu), imu.header.frame_id) == (sample.stamp, "base_link")
        assert content(imu) == (*sample.angular_velocity, *sample.specific_force)
        assert imu.orientation_covariance[0] == -1
    up = [imu.linear_acceleration.z for imu in drone.imus[:10]]
    assert np.mean(up) == pytest.approx(9.81, abs=1.0)
    for odometry in drone.odometry[:10]:
        assert (odometry.header.frame_id, odometry.child_frame_id) == ("odom", "base_link")
        state = states[stamp(odometry)]
        place, turn = odometry.pose.pose.position, odometry.pose.pose.orientation
        assert [place.x, place.y, place.z] == state.position.tolist()
        assert [turn.x, turn.y, turn.z, turn.w] == state.orientation.tolist()
        body = np.reshape(pybullet.getMatrixFromQuaternion(state.orientation), (3, 3))
        linear, angular = odometry.twist.twist.linear, odometry.twist.twist.angular
        forward = body.T @ state.linear_velocity
        np.testing.assert_allclose([linear.x, linear.y, linear.z], forward, atol=1e-9)
        assert [angular.x, angular.y, angular.z] == state.angular_velocity.tolist()
    assert {b - a for a, b in pairwise(stamps(drone.odometry))} == {SECOND // 50}


def test_reset_begins_the_flight_of_the_seed_again(ros: Spinner) -> None:
    drone = Drone(ros)

    def flight(seed: int) -> list[Any]:
        assert drone.set(seed=seed) == []
        drone.images.clear()
        drone.imus.clear()
        answer = drone.call("reset")
        assert (answer.success, answer.message) == (True, f"seed {seed}")
        drone.until(lambda: len(drone.imus) > 150 and len(drone.images) > 15, "a flight")
        assert drone.clock[0] == 0
        pictures = [(stamp(image), image.data.tobytes()) for image in drone.images[:15]]
        return [*pictures, *((stamp(imu), content(imu)) for imu in drone.imus[:150])]

    first = flight(SEED)
    other = flight(SEED + 1)
    assert flight(SEED) == first
    assert other != first


def test_invalid_parameters_are_refused(ros: Spinner) -> None:
    drone = Drone(ros)
    for seed in (-1, 2**31, 1.5):
        assert drone.set(seed=seed) != []
    assert drone.set(speed=0.0) != []
    assert drone.set(fault__kind="gremlin") != []
    (why,) = drone.set(pace="real_time")
    assert "at the start" in why
    assert drone.node.get_parameter("seed").value == SEED
    with pytest.raises(ConfigError, match="stamped"):
        SimulatorNode(
            context=ros.context,
            parameter_overrides=overrides(pace="lock_step", stamped=False),
        )


def test_the_shipped_parameter_file_has_every_parameter_at_its_default(ros: Spinner) -> None:
    arguments = ["--ros-args", "--params-file", str(PARAMETERS)]
    node = ros.add(SimulatorNode(context=ros.context, cli_args=arguments))
    assert read(node, SPECS) == {spec.name: spec.default for spec in SPECS}
    assert {spec.name for spec in SPECS} <= node._parameter_overrides.keys()


def test_sensors_and_world_are_fitted_by_parameters(ros: Spinner, tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(
        '[[fault]]\nkind = "range_bias"\nstart = 0\nmagnitude = 3.0\nsensor = "front"'
    )
    drone = Drone(
        ros,
        sensors=["imu", "camera", "range_finder", "front", "odometry"],
        range_finder__rate=40.0,
        front__model="range_finder",
        front__direction=[1.0, 0.0, 0.0],
        front__max_range=5.0,
        odometry__rate=25.0,
        odometry__latency=0.05,
        camera__width=32,
        camera__height=24,
        vehicle="crazyflie",
        wind__steady=0.0,
        wind__gust=0.0,
        renderer="raycast",
        faults=str(script),
    )
    ranges: dict[str, list[Range]] = {"range_finder": [], "front": []}
    for topic, kept in ranges.items():
        drone.subscriptions.append(drone.pilot.create_subscription(Range, topic, kept.append, 1000))
    drone.until(
        lambda: (
            len(drone.odometry) > 10
            and len(drone.images) > 5
            and min(map(len, ranges.values())) > 20
        ),
        "measurements of every sensor",
    )
    config = drone.node.world.config
    assert [sensor.name for sensor in config.sensors] == [
        "imu",
        "camera",
        "range_finder",
        "front",
        "odometry",
    ]
    assert config.vehicle == load_vehicle("crazyflie")
    assert (config.wind.steady, config.renderer) == (0.0, "raycast")
    assert (drone.images[0].width, drone.infos[0].height) == (32, 24)
    # What was published is what a world of this configuration measures.
    world = World(config)
    world.reset(SEED)
    world.command(Command(0))
    expected: dict[str, list[Any]] = {}
    while (event := world.next_event(SECOND // 5)) is not None:
        expected.setdefault(world.sensor_of(event), []).append(event)
    world.close()
    for name, messages in ranges.items():
        assert {message.header.frame_id for message in messages} == {name}
        for message, sample in zip(messages, expected[name][:3], strict=False):
            assert (stamp(message), message.range) == (sample.stamp, sample.distance)
    assert stamp(drone.odometry[0]) == expected["odometry"][0].stamp
    steps = np.diff(stamps(drone.odometry[:10]))
    assert np.median(steps) == pytest.approx(SECOND / 25, rel=0.01)


def test_invalid_sensors_and_worlds_are_refused(ros: Spinner) -> None:
    for parameters, words in (
        ({"sensors": ["imu", "sonar"]}, "there is no sensor 'sonar'"),
        ({"sensors": ["imu", "imu"]}, "each sensor needs a name of its own"),
        ({"imu__rate": 0.0}, "sensor 'imu': sensor rate must be in"),
        ({"vehicle": "blimp"}, "there is no vehicle 'blimp'"),
        ({"faults": "/nowhere.toml"}, "/nowhere.toml"),
    ):
        given = overrides(**parameters)  # type: ignore[arg-type]
        with pytest.raises(LiquidNavError, match=words):
            SimulatorNode(context=ros.context, parameter_overrides=given)


def test_a_frozen_camera_repeats_its_image_under_new_stamps(ros: Spinner) -> None:
    drone = Drone(ros)
    drone.until(lambda: len(drone.images) > 3, "images")
    start = drone.break_now(kind="camera_freeze")

    def frozen() -> list[Image]:
        return [image for image in drone.images if stamp(image) >= start]

    drone.until(lambda: len(frozen()) > 5, "frozen images")
    assert len({image.data.tobytes() for image in frozen()}) == 1
    assert len({stamp(image) for image in frozen()}) == len(frozen())
    assert len({content(imu) for imu in drone.imus}) == len(drone.imus)


def test_a_dropped_sensor_is_silent_while_the_other_publishes(ros: Spinner) -> None:
    drone = Drone(ros)
    drone.until(lambda: len(drone.imus) > 10, "samples")
    start = drone.break_now(kind="imu_drop", duration=0.5)
    healed = start + SECOND // 2
    drone.until(lambda: drone.imus and stamp(drone.imus[-1]) > healed, "the IMU to come back")
    assert [s for s in stamps(drone.imus) if start <= s < healed] == []
    assert len([s for s in stamps(drone.images) if start <= s < healed]) > 5
    start = drone.break_now(kind="camera_black", duration=0.0)
    drone.until(lambda: stamp(drone.images[-1]) > start, "a black image")
    assert not any(drone.images[-1].data)


def test_a_fault_that_cannot_be_injected_says_why(ros: Spinner) -> None:
    drone = Drone(ros)
    answer = drone.call("inject_fault")
    assert (answer.success, "kind must be one of" in answer.message) == (False, True)
    assert drone.set(fault__kind="motor_loss", fault__magnitude=2.0) == []
    answer = drone.call("inject_fault")
    assert (answer.success, "[0, 1]" in answer.message) == (False, True)


def test_services_work_while_lock_step_waits_for_the_first_command(ros: Spinner) -> None:
    drone = Drone(ros, lock_step_timeout=0.05)
    drone.silent = True
    ros.until_matched(drone.command_publisher, *drone.subscriptions)
    # A controller that is configured but not active subscribes to no sensors.
    drone.pilot.destroy_subscription(drone.subscriptions.pop(0))
    drone.until(lambda: len(drone.clock) > 30, "the clock to be repeated")
    assert drone.call("reset").success
    assert set(drone.clock) == {0}
    assert drone.imus == []
    drone.silent = False
    drone.until(lambda: drone.imus, "the flight to begin")


def test_lock_step_flies_with_a_controller_that_only_answers(ros: Spinner) -> None:
    drone = Drone(ros, lock_step_timeout=1.0)
    drone.silent = True
    answered = []

    def answer(message: Any) -> None:
        answered.append(message)
        drone.send(FORWARD)

    for kind, topic in ((Imu, "imu"), (Image, "camera/image_raw")):
        drone.pilot.create_subscription(kind, topic, answer, 100)
    drone.until(lambda: len(answered) > 50, "the flight")


def test_lock_step_counts_answers_that_another_command_overtook(ros: Spinner) -> None:
    drone = Drone(ros)
    drone.until(lambda: len(drone.imus) > 3, "the flight to begin")
    drone.silent = True
    # The world stands still once the clock is repeated.
    drone.until(lambda: len(drone.clock) > 1 and drone.now == drone.clock[-2], "the world to stop")
    at = drone.now
    drone.send(FORWARD)
    drone.until(lambda: drone.now > at, "the world to go on")
    drone.now = at
    drone.send((0.0, 0.0, 0.0, 0.0))
    drone.until(lambda: drone.node.overtaken == 1, "the overtaken answer")


def test_no_flight_begins_without_a_controller(ros: Spinner) -> None:
    node = ros.add(SimulatorNode(context=ros.context, parameter_overrides=overrides(speed=10.0)))
    times: list[int] = []
    listener = ros.node("listener")
    listener.create_subscription(Clock, "/clock", lambda m: times.append(stamp_of(m.clock)), 100)
    ros.until(lambda: len(times) > 10, 60, "the clock to be repeated")
    assert set(times) == {0}
    assert node.world.time == 0
    listener.create_publisher(TwistStamped, "cmd_vel", 1)
    ros.until(lambda: times[-1] > 0, 60, "the flight to begin")


def test_lock_step_flies_on_when_the_controller_falls_silent(ros: Spinner) -> None:
    drone = Drone(ros, lock_step_timeout=0.3)
    drone.until(lambda: len(drone.imus) > 3, "the flight to begin")
    drone.silent = True
    drone.until(lambda: drone.node.unanswered > 2, "the world to go on")
    count, received = drone.node.unanswered, len(drone.imus)
    drone.silent = False
    drone.until(lambda: len(drone.imus) > received + 100, "the flight to go on")
    # All are answered again, except those that a busy machine was late for.
    assert drone.node.unanswered < count + 30


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e308])
def test_a_command_that_is_not_finite_is_refused(ros: Spinner, value: float) -> None:
    drone = Drone(ros)
    drone.until(lambda: len(drone.imus) > 3, "the flight to begin")
    drone.command = (0.0, 0.0, 0.0, value)
    drone.until(lambda: drone.node.refused > 3, "refusals")
    stood = drone.node.world.time
    refused = drone.node.refused
    drone.until(lambda: drone.node.refused > refused + 3, "refusals")
    assert drone.node.world.time == stood
    drone.command = (0.0, 0.0, 0.0, 0.0)
    drone.until(lambda: drone.node.world.time > stood, "the flight to go on")


def test_without_commands_the_vehicle_hovers(ros: Spinner) -> None:
    drone = Drone(ros, pace="real_time", speed=5.0)
    drone.command = (1.0, 0.0, 0.0, 0.0)

    def speeds() -> list[float]:
        return [math.hypot(*vector(pose.twist.twist.linear)) for pose in drone.odometry]

    drone.until(lambda: speeds() and max(speeds()) > 0.8, "speed")
    drone.silent = True
    drone.until(lambda: speeds()[-1] < 0.2, "a hover")


def vector(message: Any) -> tuple[float, float, float]:
    return (message.x, message.y, message.z)


def test_plain_twist_flies_in_real_time(ros: Spinner) -> None:
    drone = Drone(ros, namespace="drone", pace="real_time", speed=20.0, stamped=False)
    drone.command = (0.0, 0.0, -1.2, 0.0)
    outcomes = drone.outcomes()
    drone.until(lambda: outcomes, "the ground")
    assert drone.node.world.outcome is not None
    assert drone.clock == sorted(drone.clock)
    assert stamps(drone.imus) == sorted(stamps(drone.imus))


def test_late_subscribers_receive_the_outcomes_and_the_next_seed_follows(ros: Spinner) -> None:
    drone = Drone(ros, auto_reset=True)
    drone.command = (0.0, 0.0, -1.2, 0.0)
    outcomes = drone.outcomes()
    drone.until(lambda: len(outcomes) == 2, "two flights")
    assert [figures["seed"] for figures in outcomes] == [str(SEED), str(SEED + 1)]
    assert drone.set(auto_reset=False) == []
    drone.until(lambda: len(outcomes) == 3, "the last flight")
    world, ended = drone.node.world, drone.node.world.time
    late = drone.outcomes()
    drone.until(lambda: len(late) == 3, "the outcomes")
    assert late[-1]["outcome"] == "collision"
    assert float(late[-1]["duration"]) == ended / SECOND
    assert late[-1]["position"].split() == [repr(x) for x in world.state.position.tolist()]
    drone.clock.clear()
    drone.until(lambda: len(drone.clock) > 5, "the clock to be repeated")
    assert world.time == ended
    answer = drone.call("inject_fault")
    assert (answer.success, answer.message) == (False, "the flight is over: call ~/reset first")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process(ros: Spinner, number: signal.Signals) -> None:
    listener, messages = ros.node("listener"), []
    listener.create_subscription(Clock, "/clock", messages.append, 10)
    with Process("simulator") as simulator:
        ros.until(lambda: messages, what="the simulator")
        assert simulator.end(ros, number) == 0


def test_the_last_flight_ends_the_process(ros: Spinner) -> None:
    parameters = ("speed:=100.0", "wait_for_controller:=false", "episodes:=1")
    with Process("simulator", *(w for p in parameters for w in ("-p", p))) as simulator:
        assert simulator.popen.wait(120) == 0


@pytest.mark.parametrize("wrong", ["seed:=-1", "pace:=fast", "speed:=0.0", "gui:=true"])
def test_a_simulator_that_cannot_start_exits_as_misconfigured(
    ros: Spinner, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with Process("simulator", "-p", wrong) as simulator:
        assert simulator.popen.wait(60) == MISCONFIGURED
