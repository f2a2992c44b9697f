"""A simulated flight in one file: measurements, commands and what was true."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from liquid_nav.bags.bag import Recording
from liquid_nav.command import Command
from liquid_nav.evaluation.recording import (
    FAULTS,
    OUTCOME,
    SCENE,
    STATE,
    TF,
    TF_STATIC,
    SimulationRecorder,
)
from liquid_nav.events import SECOND, Channel, Odometry, RangeSample
from liquid_nav.messages.fields import BEAM
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.messages.odometry import OdometryMessage
from liquid_nav.messages.range_finder import RangeMessage
from liquid_nav.recording.recorder import CAMERA_INFO, COMMAND
from liquid_nav.replay.topics import Topics, find
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.faults.schedule import read_faults
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.range_finder import RangeFinderModel
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.follow import FollowTask
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.vehicle.state import VehicleState
from liquid_nav_sim.world import World

STORE = get_typestore(Stores.ROS2_JAZZY)
"""Message definitions of another source than the writer's."""

LENS = (-0.1, 0.02, 0.001, -0.002, 0.0)
TURNING = (1.0, 0.3, 0.2, 0.8)


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[int, VehicleState], Path]:
    """A flight of 1.5 s, the true state at each time at which an event came, and its file."""
    path = tmp_path_factory.mktemp("recording") / "flight.mcap"
    camera = CameraModel(mount_position=(0.1, 0.02, -0.03), mount_pitch=0.3, distortion=LENS)
    world = World(WorldConfig(task=TargetTask(time_limit=1.5)).with_sensor("camera", model=camera))
    truth = {}
    with SimulationRecorder(path, world) as recorder:
        world.reset(11)
        while (event := world.next_event()) is not None:
            truth[world.time] = world.state
            recorder.event(event)
            command = Command(event.arrival, *TURNING)
            recorder.command(command)
            world.command(command)
    yield world, truth, path
    world.close()


def messages(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Time and content of all messages by topic."""
    found = defaultdict(list)
    with path.open("rb") as file:
        for schema, channel, entry in make_reader(file).iter_messages():
            content = STORE.deserialize_cdr(entry.data, schema.name)
            found[channel.topic].append((entry.log_time, content))
    return found


def vector(message: Any) -> list[float]:
    return [message.x, message.y, message.z]


def test_the_true_state_is_the_worlds(flown) -> None:
    _, truth, path = flown
    found = messages(path)
    assert len(found[STATE]) == pytest.approx(1.5 * 100, abs=3)
    for (time, odometry), (_, moved) in zip(found[STATE], found[TF], strict=True):
        state = truth[time]
        stamp = odometry.header.stamp
        assert stamp.sec * SECOND + stamp.nanosec == time
        pose, twist = odometry.pose.pose, odometry.twist.twist
        turn = Rotation.from_quat([*vector(pose.orientation), pose.orientation.w])
        np.testing.assert_array_equal(vector(pose.position), state.position)
        np.testing.assert_allclose(turn.as_quat(), state.orientation, atol=1e-12)
        # The twist is in the child's frame, as nav_msgs/Odometry has it.
        np.testing.assert_allclose(
            turn.apply(vector(twist.linear)), state.linear_velocity, atol=1e-9
        )
        np.testing.assert_array_equal(vector(twist.angular), state.angular_velocity)
        (stamped,) = moved.transforms
        assert (stamped.header.frame_id, stamped.child_frame_id) == ("odom", "base_link")
        np.testing.assert_array_equal(vector(stamped.transform.translation), state.position)


def test_the_camera_is_where_it_looks_from(flown) -> None:
    _, _, path = flown
    ((_, mounts),) = messages(path)[TF_STATIC]
    (mount,) = mounts.transforms
    assert (mount.header.frame_id, mount.child_frame_id) == ("base_link", "camera_optical_frame")
    q = mount.transform.rotation
    turn = Rotation.from_quat([q.x, q.y, q.z, q.w])
    np.testing.assert_allclose(vector(mount.transform.translation), [0.1, 0.02, -0.03])
    # It looks along its z axis, 0.3 rad up; its x axis is to the right.
    np.testing.assert_allclose(turn.apply([0, 0, 1]), [np.cos(0.3), 0, np.sin(0.3)], atol=1e-12)
    np.testing.assert_allclose(turn.apply([1, 0, 0]), [0, -1, 0], atol=1e-12)


def test_the_camera_is_described_by_its_calibration(flown) -> None:
    world, _, path = flown
    infos = [info for _, info in messages(path)[CAMERA_INFO]]
    assert len(infos) > 30
    for info in infos:
        np.testing.assert_allclose(info.k.reshape(3, 3), world.config.sensor("camera").model.matrix)
        np.testing.assert_array_equal(info.d, LENS)


def test_the_scene_is_drawn_solid_by_solid(flown) -> None:
    world, _, path = flown
    ((_, drawn),) = messages(path)[SCENE]
    ground, *markers = drawn.markers
    assert ground.pose.position.z + ground.scale.z / 2 == pytest.approx(0)
    assert len({marker.id for marker in drawn.markers}) == len(drawn.markers)
    assert len(markers) == len(world.scene.solids)
    for marker, solid in zip(markers, world.scene.solids, strict=True):
        place = np.array(vector(marker.pose.position))
        q = marker.pose.orientation
        turn = Rotation.from_quat([q.x, q.y, q.z, q.w])
        # All three kinds fill their box along x, y, z: on its faces their surface is.
        for axis, size in zip(np.eye(3), vector(marker.scale), strict=True):
            face = place + turn.apply(axis) * size / 2
            assert solid.distance(face) == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(
            [marker.color.r, marker.color.g, marker.color.b], solid.colour, atol=1e-6
        )
    assert [content.data for _, content in messages(path)[OUTCOME]] == ["timeout"]


def test_ranges_and_odometry_are_recorded_too(tmp_path: Path) -> None:
    timing = SensorTiming(rate=50, latency=0.01)
    config = (
        WorldConfig(faults=(Fault("range_nan", 300_000_000),), task=TargetTask(time_limit=0.5))
        .with_sensor(
            "range_finder", model=RangeFinderModel(mount_position=(0.0, 0.0, -0.05)), timing=timing
        )
        .with_sensor("odometry", timing=timing)
        .without("camera")
    )
    world, events = World(config), []
    with SimulationRecorder(tmp_path / "flight.mcap", world) as recorder:
        world.reset(1)
        while (event := world.next_event()) is not None:
            recorder.event(event)
            events.append(event)
    world.close()
    found = messages(tmp_path / "flight.mcap")
    ranges = [event for event in events if isinstance(event, RangeSample)]
    assert len(ranges) > 20
    for event, (arrival, content) in zip(ranges, found[RangeMessage.topic], strict=True):
        assert arrival == event.arrival
        np.testing.assert_array_equal(np.float32(content.range), np.float32(event.distance))
    mounts = [content.transforms[0] for _, content in found[TF_STATIC]]
    ((place, q),) = (
        (m.transform.translation, m.transform.rotation) for m in mounts if m.child_frame_id == BEAM
    )
    assert vector(place) == [0.0, 0.0, -0.05]
    down = Rotation.from_quat([q.x, q.y, q.z, q.w]).apply([1, 0, 0])
    assert down == pytest.approx([0, 0, -1], abs=1e-12)
    with Recording(tmp_path / "flight.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        assert topics.roles["imu"] == ImuMessage.topic
        assert topics.roles["odometry"] == OdometryMessage.topic
    assert len(found[OdometryMessage.topic]) == sum(isinstance(event, Odometry) for event in events)


def test_what_was_broken_is_recorded_as_a_script(tmp_path: Path, flown) -> None:
    assert FAULTS not in messages(flown[2])
    faults = (Fault("imu_bias", 100_000_000, 0.25, -0.1), Fault("motor_stuck", 7))
    config = WorldConfig(faults=faults[:1], task=TargetTask(time_limit=0.2)).without("camera")
    world = World(config)
    with SimulationRecorder(tmp_path / "broken.mcap", world) as recorder:
        world.reset(1)
        world.inject(faults[1])
        while (event := world.next_event()) is not None:
            recorder.event(event)
    world.close()
    ((_, script),) = messages(tmp_path / "broken.mcap")[FAULTS]
    (tmp_path / "again.toml").write_text(script.data)
    assert read_faults(tmp_path / "again.toml") == faults


def test_a_target_that_moves_is_drawn_where_it_is(tmp_path: Path) -> None:
    world = World(WorldConfig(task=FollowTask(time_limit=1.0, hold=0.9)).without("camera"))
    try:
        with SimulationRecorder(tmp_path / "follow.mcap", world) as recorder:
            world.reset(3)
            while (event := world.next_event()) is not None:
                recorder.event(event)
    finally:
        world.close()
    (_, whole), *later = messages(tmp_path / "follow.mcap")[SCENE]
    ids = [marker.id for marker in whole.markers]
    places = []
    for time, drawn in later:
        (marker,) = drawn.markers
        places.append(vector(marker.pose.position))
        assert marker.id == ids[1]
        np.testing.assert_allclose(places[-1], world.scene.target_position(time / SECOND))
    assert np.linalg.norm(np.subtract(places[-1], places[0])) > 0.1


def test_a_replay_takes_the_measurements_and_leaves_the_truth(flown) -> None:
    _, _, path = flown
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=True)
        assert topics.roles["imu"] == ImuMessage.topic
        assert (topics.command, topics.roles["odometry"]) == (COMMAND, None)
        chosen = find(recording.topics, Topics({Channel.ODOMETRY: STATE}), comparing=True)
        assert chosen.roles["odometry"] == STATE


def test_a_flight_that_was_broken_off_leaves_no_file(tmp_path: Path, flown) -> None:
    world = flown[0]

    def broken_off() -> None:
        with SimulationRecorder(tmp_path / "cut.mcap", world) as recorder:
            recorder.command(Command(0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert list(tmp_path.iterdir()) == []
