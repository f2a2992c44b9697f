"""The eyes node as its users see it, over real DDS: frames, verdicts, and poses that fail."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros.node_support import overrides
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND
from liquid_nav.messages.decode import stamp_of
from liquid_nav.ros.parameters import read
from liquid_nav.ros.simulator.eyes.node import EyesNode, Phase
from liquid_nav.ros.simulator.eyes.parameters import SPECS
from liquid_nav.ros.simulator.eyes.poses import Pose
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.watched import WatchedWorld

SEED = 21
BEGIN = 50 * SECOND
PARAMETERS = Path(__file__).parents[3] / "config" / "liquid_nav_eyes.yaml"
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


class Drone:
    """An eyes node, and a vehicle that says where it is and what time it is."""

    def __init__(self, ros: Spinner, timed: bool = True, **parameters: Any):
        parameters = {"seed": SEED, "use_sim_time": True, "executor": "single"} | parameters
        self.ros, self.now = ros, BEGIN
        self.position, self.yaw = np.array([4.0, 5.0, 0.02]), 0.7
        self.node: Any = ros.add(
            EyesNode(context=ros.context, parameter_overrides=overrides(**parameters))
        )
        self.body = ros.node("body")
        self.clock = self.body.create_publisher(Clock, "/clock", 10)
        self.odometry = self.body.create_publisher(Odometry, "odom", 50)
        self.followed: list[Pose] = []
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.outcomes: list[dict[str, str]] = []
        self.words: list[str] = []
        self.readers = [
            self.body.create_subscription(Image, "camera/image_raw", self.images.append, 100),
            self.body.create_subscription(CameraInfo, "camera/camera_info", self.infos.append, 100),
            self.body.create_subscription(
                DiagnosticStatus, "liquid_nav_eyes_node/outcome", self._on_outcome, LATCHED
            ),
            self.body.create_subscription(DiagnosticArray, "/diagnostics", self._on_report, 10),
        ]
        ros.until_matched(self.clock, self.odometry, *self.readers)
        if timed:
            self.tell_time()

    def _on_outcome(self, status: DiagnosticStatus) -> None:
        values = {pair.key: pair.value for pair in status.values}
        self.outcomes.append(values | {"message": status.message})

    def _on_report(self, array: DiagnosticArray) -> None:
        self.words += [s.message for s in array.status if s.name == "/liquid_nav_eyes_node: eyes"]

    def tell_time(self, elapsed: float = 0.0) -> None:
        """Let time pass, and wait until the node knows it."""
        self.now += round(elapsed * SECOND)
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(self.now, SECOND)
        self.clock.publish(message)
        read_clock = self.node.get_clock().now
        self.ros.until(lambda: read_clock().nanoseconds == self.now, what="the clock")

    def pose(self, stamp: int | None = None, **changes: Any) -> Odometry:
        message = Odometry(child_frame_id="base_link")
        stamp = self.now if stamp is None else stamp
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, SECOND)
        point, turn = message.pose.pose.position, message.pose.pose.orientation
        point.x, point.y, point.z = self.position.tolist()
        turn.z, turn.w = math.sin(self.yaw / 2), math.cos(self.yaw / 2)
        for name, value in changes.items():
            setattr(turn if name == "w" else point, name, value)
        return message

    def tell(self, message: Odometry | None = None) -> None:
        """Tell a pose, and wait until the node has followed or refused it."""
        message = self.pose() if message is None else message

        def known() -> tuple[Any, int, int]:
            return self.node._track.last, self.node.refused, self.node._track.late

        before = known()
        self.odometry.publish(message)
        self.ros.until(lambda: known() != before, what="the pose")
        self.followed.append(self.node._track.last)

    def fly(self, to: Any, seconds: float, rate: float = 25.0) -> None:
        """Fly straight to a place."""
        start, steps = self.position, round(seconds * rate)
        for step in range(1, steps + 1):
            self.position = start + (np.asarray(to) - start) * step / steps
            self.tell_time(1 / rate)
            self.tell()

    def take_off(self) -> None:
        self.tell()
        self.fly(self.moved(0.0, 0.0, 1.2), 1.0)
        assert self.node.phase is Phase.FLYING

    def moved(self, x: float, y: float, z: float) -> Any:
        """The place that is so far away."""
        return self.position + np.array([x, y, z])

    def in_scene(self, place: Any) -> Any:
        """A place of the scene in the frame of the poses."""
        solid = self.node.world.scene.obstacles[0]
        moved = type(solid)(solid.shape, np.asarray(place), solid.size, solid.colour)
        return self.node._place.solid(moved).position

    def call(self, service: str = "begin") -> Any:
        client = self.body.create_client(Trigger, f"liquid_nav_eyes_node/{service}")
        self.ros.until_matched(client)
        future = client.call_async(Trigger.Request())
        self.ros.until(future.done, what=service)
        return future.result()

    def until_said(self, words: str) -> None:
        """Wait for a report that contains the words."""
        self.words.clear()
        self.ros.until(lambda: any(words in w for w in self.words), what=f"the words {words!r}")

    def tell_until_said(self, words: str, period: float = 0.04) -> None:
        """Tell poses until a report contains the words."""
        self.words.clear()

        def said() -> bool:
            self.tell_time(period)
            self.tell()
            return any(words in w for w in self.words)

        self.ros.until(said, what=f"the words {words!r}")


def stamps(images: list[Any]) -> list[int]:
    return [stamp_of(image.header.stamp) for image in images]


def check_frames(drone: Drone) -> None:
    """The images are those of the simulator's camera at the same poses, bit for bit."""
    world, begun = WatchedWorld(drone.node.world.config), drone.node._origin
    world.reset(SEED)
    place = drone.node._place.pose
    for pose in drone.followed:
        if pose.stamp == begun:
            world.place(*place(pose))
        elif pose.stamp > begun:
            world.move(pose.stamp - begun, *place(pose))
    expected = {}
    while (event := world.next_event(drone.now - begun)) is not None:
        expected[event.stamp + begun] = event.image.tobytes()
    world.close()
    images = [image for image in drone.images if stamp_of(image.header.stamp) > begun]
    drone.ros.until(lambda: set(stamps(images)) <= set(stamps(drone.infos)), what="camera_info")
    infos = dict(zip(stamps(drone.infos), drone.infos, strict=True))
    assert len(images) > 15
    for image in images:
        info = infos[stamp_of(image.header.stamp)]
        assert image.header == info.header
        assert image.header.frame_id == "camera_optical_frame"
        assert (info.width, info.height) == (image.width, image.height) == (64, 48)
        assert image.data.tobytes() == expected[stamp_of(image.header.stamp)]


def test_a_flight_is_seen_and_judged_and_the_next_begins_by_a_call(ros: Spinner) -> None:
    drone = Drone(ros)
    assert not drone.call().success  # No pose yet.
    drone.take_off()
    drone.images.clear()
    target = drone.in_scene(drone.node.world.scene.target.position)
    drone.fly(drone.position + (target - drone.position) / 2, 1.0)
    drone.tell_time(0.2)
    ros.until(lambda: len(drone.images) > 20, what="frames")
    check_frames(drone)
    drone.fly(target, 3.0)
    ros.until(lambda: drone.outcomes, what="the outcome")
    (outcome,) = drone.outcomes
    assert (outcome["outcome"], outcome["seed"], outcome["task"]) == (
        "success",
        str(SEED),
        "target",
    )
    # The vehicle flies on, and its camera with it.
    drone.images.clear()
    drone.fly(drone.moved(0.0, 0.0, 0.5), 1.0)
    ros.until(lambda: drone.images, what="frames after the end")
    answer = drone.call()
    assert (answer.success, answer.message) == (True, f"seed {SEED + 1}")
    assert drone.node.phase is Phase.FLYING


def test_a_collision_and_a_start_on_the_ground_are_told(ros: Spinner) -> None:
    drone = Drone(ros, begin="service")
    drone.tell()
    refused = drone.call()
    assert not refused.success
    assert "take off first" in refused.message
    drone.fly(drone.moved(0.0, 0.0, 1.5), 1.0)
    assert drone.node.phase is Phase.WAITING
    assert drone.call().success
    drone.fly(drone.moved(0.0, 0.0, -1.5), 2.0)
    ros.until(lambda: drone.outcomes, what="the outcome")
    assert drone.outcomes[0]["outcome"] == "collision"
    assert 1.5 < float(drone.outcomes[0]["duration"]) <= 2.0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("silence", "no pose for 0.6"),
        ("leap", "the pose leapt by 9.00 m"),
        ("restart", "the clock of the poses went back"),
    ],
)
def test_a_flight_whose_way_is_not_known_is_void(ros: Spinner, fault: str, words: str) -> None:
    drone = Drone(ros)
    drone.take_off()
    if fault == "silence":
        drone.tell_time(0.6)
    elif fault == "leap":
        drone.position = drone.moved(9.0, 0.0, 0.0)
        drone.tell_time(0.04)
        drone.tell()
    else:
        drone.tell_time(-20.0)
        drone.tell()
    ros.until(lambda: drone.outcomes, what="the outcome")
    assert drone.outcomes[0]["outcome"] == "void"
    assert words in drone.outcomes[0]["message"]
    assert drone.node.phase is Phase.OVER
    # The next poses are followed, and the next flight can begin.
    drone.tell_time(0.04)
    drone.tell()
    drone.images.clear()
    drone.fly(drone.moved(0.3, 0.0, 0.0), 0.4)
    drone.tell_time(0.1)
    ros.until(lambda: drone.images, what="frames")
    assert drone.call().message == f"seed {SEED + 1}"


def test_poses_that_waited_while_the_process_stood_still_are_followed(
    ros: Spinner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long the middleware takes on a busy machine.
    monkeypatch.setattr("liquid_nav.ros.simulator.eyes.node._AWAKE", 10_000)
    drone = Drone(ros)
    drone.take_off()
    # The time comes first, as it does when a process goes on.
    later = [drone.now + k * SECOND // 25 for k in range(1, 26)]
    drone.tell_time(1.0)
    for stamp in later:
        drone.odometry.publish(drone.pose(stamp=stamp))
    ros.until(lambda: drone.node._track.last.stamp == later[-1], what="the last pose")
    assert drone.node.phase is Phase.FLYING
    assert drone.outcomes == []


def test_frames_stop_with_the_poses_and_the_diagnostics_say_so(ros: Spinner) -> None:
    drone = Drone(ros, timed=False)
    drone.until_said("no time on /clock yet")
    drone.tell_time()
    drone.until_said("no pose on /odom yet")
    drone.take_off()
    last = drone.node._track.last.stamp
    drone.tell_time(1.0)
    ros.until(lambda: drone.outcomes, what="the outcome")
    drone.until_said("no frames are drawn")
    assert max(stamps(drone.images)) <= last


def test_poses_at_5_hz_give_frames_at_their_true_stamps_and_a_warning(ros: Spinner) -> None:
    drone = Drone(ros, camera__drop=0.0, pose_timeout=1.0)
    drone.tell()
    drone.fly(drone.moved(0.0, 0.0, 0.9), 2.0, rate=5.0)
    drone.tell_time(0.1)
    ros.until(lambda: len(drone.images) > 50, what="frames at 30 Hz")
    drone.tell_until_said("late: poses come at 5.0 Hz", 0.2)
    between = np.diff(stamps(drone.images[:50])) / SECOND
    assert between.min() > 0.02
    assert between.max() < 0.05


def test_poses_that_make_no_sense_are_refused_and_change_nothing(ros: Spinner) -> None:
    drone = Drone(ros)
    drone.take_off()
    kept = drone.node._track.last
    for message in (
        drone.pose(x=math.nan),
        drone.pose(w=3.0),
        drone.pose(stamp=drone.now + 1000 * SECOND),
        drone.pose(stamp=1_700_000_000 * SECOND),
        drone.pose(stamp=drone.now - SECOND // 10),
    ):
        drone.tell(message)
    assert drone.node._track.last == kept
    assert (drone.node.refused, drone.node._track.late) == (4, 1)
    drone.tell_time(0.04)
    drone.tell()
    assert drone.node.phase is Phase.FLYING
    assert drone.outcomes == []


def test_a_pose_in_ned_is_told(ros: Spinner) -> None:
    drone = Drone(ros)
    drone.position = np.array([0.0, 0.0, -1.5])
    drone.tell()
    drone.tell_until_said("is its pose in NED")
    refused = drone.call()
    assert not refused.success
    assert "is its pose in NED" in refused.message


def test_faults_and_seeds_are_set_while_it_runs(ros: Spinner) -> None:
    drone = Drone(ros, camera__drop=0.0)
    drone.take_off()
    assert drone.node.set_parameters([Parameter("fault.kind", value="camera_black")])[0].successful
    assert drone.call("inject_fault").success
    drone.images.clear()
    drone.fly(drone.moved(0.0, 0.0, 0.5), 0.5)
    drone.tell_time(0.1)
    ros.until(lambda: len(drone.images) > 8, what="frames")
    assert not any(drone.images[-1].data)
    drone.node.set_parameters([Parameter("fault.kind", value="motor_loss")])
    refused = drone.call("inject_fault")
    assert not refused.success
    assert "acts on the vehicle" in refused.message
    assert not drone.node.set_parameters([Parameter("task", value="gates")])[0].successful
    assert drone.node.set_parameters([Parameter("seed", value=77)])[0].successful
    ros.until(lambda: drone.outcomes, what="the outcome")
    assert "another seed was set" in drone.outcomes[0]["message"]
    assert drone.node.phase is Phase.WAITING
    assert drone.call().message == "seed 77"


def test_the_shipped_parameter_file_has_every_parameter_at_its_default(ros: Spinner) -> None:
    arguments = ["--ros-args", "--params-file", str(PARAMETERS)]
    node = ros.add(EyesNode(context=ros.context, cli_args=arguments))
    assert read(node, SPECS) == {spec.name: spec.default for spec in SPECS}
    assert {spec.name for spec in SPECS} <= node._parameter_overrides.keys()


def test_what_cannot_be_is_told_at_the_start(ros: Spinner) -> None:
    for wrong, error, words in (
        ({"pose": "px4"}, ConfigError, "the ROS package px4_msgs cannot be imported"),
        ({"sensors": ["camera", "imu"]}, SimulationError, "'imu' measures motion"),
        ({"pose_topic": "camera"}, ConfigError, "are the same topic"),
    ):
        with pytest.raises(error, match=words):
            EyesNode(context=ros.context, parameter_overrides=overrides(**wrong))
