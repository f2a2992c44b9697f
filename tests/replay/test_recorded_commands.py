"""Recorded commands of any autopilot are compared in the heading frame."""

import math
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mcap.writer import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from liquid_nav.bags.bag import Recording
from liquid_nav.cli.main import main
from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Odometry
from liquid_nav.messages.camera import camera_info, camera_matrix
from liquid_nav.messages.image import ImageMessage
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.messages.odometry import OdometryMessage
from liquid_nav.onboard import Policy
from liquid_nav.recording.writer import McapWriter, message
from liquid_nav.replay.calibration import find_camera_info
from liquid_nav.replay.commands import RecordedCommands, check_commands
from liquid_nav.replay.compare import LOWEST_CORRELATION, compare
from liquid_nav.replay.run import Replay, replay
from liquid_nav.replay.topics import Topics, find
from replay.replay_support import events

HEADING = 0.7
"""Radians from east to the left."""

TRAJECTORY = "px4_msgs/msg/TrajectorySetpoint"
POSITION = "mavros_msgs/msg/PositionTarget"
DEFINITIONS = {
    TRAJECTORY: "uint64 timestamp\nfloat32[3] position\nfloat32[3] velocity\n"
    "float32[3] acceleration\nfloat32[3] jerk\nfloat32 yaw\nfloat32 yawspeed\n",
    POSITION: "std_msgs/Header header\nuint8 coordinate_frame\nuint16 type_mask\n"
    "geometry_msgs/Point position\ngeometry_msgs/Vector3 velocity\n"
    "geometry_msgs/Vector3 acceleration_or_force\nfloat32 yaw\nfloat32 yaw_rate\n",
}
STORE = get_typestore(Stores.ROS2_JAZZY)
for _name, _text in DEFINITIONS.items():
    STORE.register(get_types_from_msg(_text, _name))


def enu(command: Command) -> tuple[float, float, float]:
    """Velocity of a command in the world, for a vehicle with this heading."""
    c, s = math.cos(HEADING), math.sin(HEADING)
    return (c * command.vx - s * command.vy, s * command.vx + c * command.vy, command.vz)


def trajectory_setpoint(command: Command) -> Any:
    east, north, up = enu(command)
    nothing = np.full(3, np.nan, np.float32)
    return STORE.types[TRAJECTORY](
        timestamp=command.stamp // 1000,
        position=nothing,
        velocity=np.array((north, east, -up), np.float32),
        acceleration=nothing,
        jerk=nothing,
        yaw=math.nan,
        yawspeed=-command.yaw_rate,
    )


def position_target(frame: int) -> Callable[[Command], Any]:
    def build(command: Command) -> Any:
        velocity = command.vector[:3] if frame == 8 else enu(command)
        vector = STORE.types["geometry_msgs/msg/Vector3"]
        return STORE.types[POSITION](
            header=message("std_msgs/msg/Header", frame_id="anything"),
            coordinate_frame=frame,
            type_mask=1 | 2 | 4 | 64 | 128 | 256 | 1024,
            position=STORE.types["geometry_msgs/msg/Point"](0.0, 0.0, 0.0),
            velocity=vector(*velocity),
            acceleration_or_force=vector(0.0, 0.0, 0.0),
            yaw=0.0,
            yaw_rate=command.yaw_rate,
        )

    return build


def twist_stamped(frame: str) -> Callable[[Command], Any]:
    def build(command: Command) -> Any:
        x, y, z = command.vector[:3] if frame == "base_link" else enu(command)
        turn = command.yaw_rate
        if frame.endswith("_ned"):
            x, y, z, turn = y, x, -z, -turn
        return message(
            "geometry_msgs/msg/TwistStamped",
            header={"frame_id": frame},
            twist={"linear": {"x": x, "y": y, "z": z}, "angular": {"z": turn}},
        )

    return build


BUILDERS = {
    "px4": trajectory_setpoint,
    "mavros_local": position_target(1),
    "mavros_body": position_target(8),
    "twist_map": twist_stamped("map"),
    "twist_namespaced": twist_stamped("uav1/odom"),
    "twist_map_ned": twist_stamped("map_ned"),
    "twist_body": twist_stamped("base_link"),
}


def record(path: Path, policy: Policy, build: Callable[[Command], Any], odometry: bool) -> None:
    """Fly open loop, and record the commands as another autopilot's messages."""
    assert policy.config.camera is not None
    flight = events(1.0)
    turn = np.array([0.0, 0.0, math.sin(HEADING / 2), math.cos(HEADING / 2)])
    if odometry:
        poses = range(SECOND, 2 * SECOND, SECOND // 20)
        flight += [Odometry(t, t, np.zeros(3), turn, np.zeros(3), np.zeros(3)) for t in poses]
    kinds = (ImageMessage(), ImuMessage(), OdometryMessage())
    plugs = {kind.channel: kind for kind in kinds}
    controller = Controller(policy)
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("ros2")
        channels: dict[str, int] = {}

        def write(topic: str, content: Any, now: int) -> None:
            name = content.__msgtype__
            if topic not in channels:
                text = STORE.generate_msgdef(name, ros_version=2)[0].encode()
                schema = writer.register_schema(name, "ros2msg", text)
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channels[topic], now, bytes(STORE.serialize_cdr(content, name)), now)

        info = camera_info(SECOND, (64, 48), camera_matrix(policy.config.camera))
        write("/camera/camera_info", message("sensor_msgs/msg/CameraInfo", **info), SECOND)
        for event in sorted(flight, key=lambda event: event.arrival):
            controller.on_event(event)
            kind = plugs[event.channel]
            write(kind.topic, message(kind.type, **kind.encode(event)), event.arrival)
            write("/setpoint", build(controller.command(event.arrival)), event.arrival)
        writer.finish()


def replayed(path: Path, policy: Policy) -> Replay:
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=True)
        info = find_camera_info(recording, topics)
        check_commands(recording, topics.command, topics.channels.get("odometry"))
        return replay(recording, topics, policy, camera_info=info)


@pytest.mark.parametrize("kind", BUILDERS)
def test_commands_of_any_autopilot_are_those_of_the_replay(
    flow_policy: Policy, tmp_path: Path, kind: str
) -> None:
    record(tmp_path / "flight.mcap", flow_policy, BUILDERS[kind], odometry=True)
    comparison = replayed(tmp_path / "flight.mcap", flow_policy).comparison
    assert comparison is not None
    assert len(comparison.times) > 200
    np.testing.assert_allclose(comparison.largest, 0, atol=1e-6)
    assert np.abs(comparison.reference).max() > 0.1


@pytest.mark.parametrize("kind", ["px4", "mavros_local", "twist_map"])
def test_commands_in_a_world_frame_need_odometry(
    flow_policy: Policy, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "flight.mcap", flow_policy, BUILDERS[kind], odometry=False)
    assert main(["replay", str(tmp_path / "flight.mcap"), "--compare"]) == 2
    complaint = capsys.readouterr().err
    assert "--odom TOPIC" in complaint
    assert complaint.count("\n") == 1


def test_what_a_mask_leaves_out_is_unknown() -> None:
    velocity = SimpleNamespace(x=1.0, y=2.0, z=3.0)
    content = SimpleNamespace(
        coordinate_frame=8, type_mask=16 | 2048, velocity=velocity, yaw_rate=9.0
    )
    vector = RecordedCommands().vector(POSITION, content)
    np.testing.assert_equal(vector, (1.0, math.nan, 3.0, math.nan))


def ulog(policy: Policy) -> bytes:
    """A PX4 log of IMU, odometry and setpoints (docs.px4.io, ULog file format)."""

    def record(kind: bytes, content: bytes) -> bytes:
        return struct.pack("<H", len(content)) + kind + content

    formats = (
        b"sensor_combined:uint64_t timestamp;float[3] gyro_rad;"
        b"int32_t accelerometer_timestamp_relative;float[3] accelerometer_m_s2;",
        b"vehicle_odometry:uint64_t timestamp;uint64_t timestamp_sample;float[3] position;"
        b"float[4] q;float[3] velocity;float[3] angular_velocity;uint8_t pose_frame;"
        b"uint8_t velocity_frame;",
        b"trajectory_setpoint:uint64_t timestamp;float[3] velocity;float yawspeed;",
    )
    log = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", SECOND // 1000) + record(b"B", bytes(40))
    log += b"".join(record(b"F", text) for text in formats)
    for number, text in enumerate(formats):
        log += record(b"A", struct.pack("<BH", 0, number) + text.partition(b":")[0])
    # The yaw in NED is clockwise from north.
    yaw = math.pi / 2 - HEADING
    pose = (0.0, 0.0, 0.0, math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
    command = Command(0, 1.0, 0.5, 0.25, 0.125)
    east, north, up = enu(command)
    for k in range(400):
        now = SECOND // 1000 + 4000 * k
        sample = (0, now, 0.1, 0.2, 0.3, 0, 0.5, 1.0, -9.75)
        log += record(b"D", struct.pack("<HQ3fi3f", *sample))
        where = (1, now, now, *pose, *[0.0] * 6, 1, 1)
        log += record(b"D", struct.pack("<HQQ3f4f3f3fBB", *where))
        log += record(b"D", struct.pack("<HQ3ff", 2, now, north, east, -up, -0.125))
    return log


def test_a_px4_log_is_compared(
    flow_policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "flight.ulg").write_bytes(ulog(flow_policy))
    result = replayed(tmp_path / "flight.ulg", flow_policy)
    assert result.comparison is not None
    np.testing.assert_allclose(result.comparison.reference[-1], (1.0, 0.5, 0.25, 0.125), rtol=1e-6)
    assert main(["replay", str(tmp_path / "flight.ulg"), "--compare"]) == 0
    assert "turned by the heading of the odometry" in capsys.readouterr().out


def test_a_twist_goes_before_what_a_backend_made_of_it(flow_policy: Policy, tmp_path: Path) -> None:
    record(tmp_path / "flight.mcap", flow_policy, trajectory_setpoint, odometry=True)
    with Recording(tmp_path / "flight.mcap") as recording:
        both = dict(recording.topics)
    with McapWriter(tmp_path / "own.mcap") as writer:
        writer.announce("/command", "geometry_msgs/msg/TwistStamped")
    with Recording(tmp_path / "own.mcap") as recording:
        both |= recording.topics
    assert find(both, Topics(), comparing=True).command == "/command"


def test_no_lag_is_told_of_what_does_not_belong_together() -> None:
    times = np.arange(0, 20 * SECOND, SECOND // 50)
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(len(times) + 20, 4)), axis=0)
    smooth -= smooth.mean(axis=0)
    late = compare(times, smooth[20:], smooth[:-20])
    assert late.lag == pytest.approx(0.4)
    noise = compare(times, rng.normal(size=(len(times), 4)), rng.normal(size=(len(times), 4)))
    assert noise.lag is None
    assert noise.correlation is not None
    assert noise.correlation < LOWEST_CORRELATION


def test_an_axis_that_is_not_commanded_is_not_compared() -> None:
    times = np.arange(0, SECOND, SECOND // 10)
    reference = np.ones((10, 4))
    reference[:, 3] = np.nan
    reference[2] = np.nan
    comparison = compare(times, reference, np.zeros((10, 4)))
    np.testing.assert_equal(comparison.rms, (1, 1, 1, np.nan))
    assert (len(comparison.times), comparison.left_out) == (9, 1)
