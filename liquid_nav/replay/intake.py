"""From a recording's messages to the controller's events, by the code that serves live ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Message
from liquid_nav.errors import LiquidNavError, ReplayError
from liquid_nav.events import TAKEN_IN, Channel, Event, OperatorStop
from liquid_nav.messages import decode as messages
from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.px4 import px4_imu_sample, px4_odometry
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.recorder import BODY
from liquid_nav.replay.topics import Topics

TF_STATIC = "/tf_static"
_SEARCHED = 20_000
"""Messages at the start of a recording among which calibration and static transforms are sought."""

Rotation = NDArray[np.float64]


@dataclass
class Refusals:
    """Messages of one channel that became no event.

    Attributes:
        count: how many.
        reasons: how many for each reason, the numbers in it taken out.
        first: what was said of the first of each reason.

    """

    count: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, why: str) -> None:
        """Count one."""
        kind = "".join("#" if c.isdigit() else c for c in why)
        while "##" in kind:
            kind = kind.replace("##", "#")
        self.count += 1
        self.reasons[kind] = self.reasons.get(kind, 0) + 1
        self.first.setdefault(kind, why)


class Intake:
    """Turns messages into events.

    Args:
        topics: which topic is what.
        camera: the model's camera.
        info: the vehicle's calibration, ``sensor_msgs/CameraInfo`` by attribute; None to trust
            that images are the model's.
        imu_rotation: from the IMU's frame to body FLU, shape (3, 3), or None where they are one.

    Attributes:
        refused: per channel, messages that became no event.
        seconds: wall time spent on decoding and adapting images.

    Raises:
        ReplayError: on an info that is no calibration.

    """

    def __init__(
        self, topics: Topics, camera: PolicyCamera, info: Any | None, imu_rotation: Rotation | None
    ) -> None:
        self.refused = {channel: Refusals() for channel in TAKEN_IN}
        self.seconds = 0.0
        self._rotation = imu_rotation
        try:
            self._adapter = CameraAdapter(camera, info)
        except LiquidNavError as error:
            raise ReplayError(f"the camera cannot be calibrated: {error}") from error
        self._converters: dict[str, tuple[Channel, Callable[[Message], Event | None]]] = {}
        for name, channel, convert in (
            (topics.camera, Channel.CAMERA, self._frame),
            (topics.imu, Channel.IMU, self._imu),
            (topics.odometry, Channel.ODOMETRY, _odometry),
            (topics.goal, Channel.GOAL, lambda m: messages.goal(m.content, m.time)),
            (topics.operator, Channel.OPERATOR, _stop),
        ):
            if name is not None:
                self._converters[name] = (channel, convert)

    @property
    def covers(self) -> float | None:
        """Fraction of the model's view that the camera sees; None where nobody calibrated it."""
        return self._adapter.covers if self._adapter.calibrated else None

    def channel(self, message: Message) -> Channel | None:
        """Channel that a message belongs to, or None."""
        entry = self._converters.get(message.topic.name)
        return None if entry is None else entry[0]

    def event(self, message: Message) -> Event | None:
        """Make an event of a message; None where it is refused, and counted, or of no channel."""
        entry = self._converters.get(message.topic.name)
        if entry is None:
            return None
        channel, convert = entry
        try:
            event = convert(message)
            if event is None:
                raise messages.MessageError(
                    "pose or velocity in a frame that says nothing of north"
                )
            return event
        except LiquidNavError as error:
            self.refused[channel].add(str(error))
        except Exception as error:  # As in flight, no message, however odd, ends it.
            self.refused[channel].add(f"{type(error).__name__}: {error}")
        return None

    def _frame(self, message: Message) -> Event:
        begin = perf_counter()
        try:
            return messages.camera_frame(message.content, message.time, self._adapter)
        finally:
            self.seconds += perf_counter() - begin

    def _imu(self, message: Message) -> Event:
        if message.topic.type.endswith("/SensorCombined"):
            return px4_imu_sample(message.content, message.time)
        return messages.imu_sample(message.content, message.time, self._rotation)


def find_camera_info(recording: Recording, topics: Topics) -> Any | None:
    """Find the first calibration at the start of the recording, or None."""
    if topics.camera_info is None:
        return None
    first = next(_early(recording, topics.camera_info), None)
    if first is None:
        raise ReplayError(
            f"no message of {topics.camera_info} can be read; give the calibration, "
            "or leave it out by --camera-info none"
        )
    content = first.content
    if hasattr(content, "k"):
        return content
    # ROS 1 wrote the matrices in capitals.
    names = ("width", "height", "distortion_model")
    return SimpleNamespace(
        **{name: getattr(content, name) for name in names}, k=content.K, d=content.D
    )


def find_imu_rotation(recording: Recording, topics: Topics) -> tuple[Rotation | None, str]:
    """Find the rotation from the IMU's frame to the body's by ``/tf_static``.

    Returns:
        The rotation, None for the identity, and in words where it comes from.

    """
    if topics.imu is None or TF_STATIC not in recording.topics:
        return None, "the IMU is taken to be aligned with the body"
    first = next(_early(recording, topics.imu), None)
    frame = getattr(getattr(first and first.content, "header", None), "frame_id", "")
    parents: dict[str, tuple[str, Any]] = {}
    for message in _early(recording, TF_STATIC):
        for transform in message.content.transforms:
            parent = (transform.header.frame_id, transform.transform.rotation)
            parents.setdefault(transform.child_frame_id, parent)
    rotation, at = np.eye(3), frame
    for _ in range(len(parents)):
        if at == BODY or at not in parents:
            break
        at, quaternion = parents[at]
        turn = rotation_of((quaternion.x, quaternion.y, quaternion.z, quaternion.w))
        rotation = turn @ rotation
    if at != BODY:
        return (
            None,
            f"{TF_STATIC} does not lead from {frame!r} to {BODY}: the IMU is taken to be aligned",
        )
    if np.array_equal(rotation, np.eye(3)):
        return None, f"the IMU is aligned with the body by {TF_STATIC}"
    return rotation, f"the IMU is turned from {frame!r} to {BODY} by {TF_STATIC}"


def rotation_of(quaternion: tuple[float, float, float, float]) -> Rotation:
    """Rotation matrix, shape (3, 3), of a unit quaternion x, y, z, w.

    Raises:
        ReplayError: when its norm is not 1.

    """
    norm = float(np.linalg.norm(quaternion))
    if not abs(norm - 1) < 1e-3:
        raise ReplayError(f"a rotation must be a unit quaternion x, y, z, w, its norm is {norm:g}")
    x, y, z, w = (value / norm for value in quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _early(recording: Recording, topic: str) -> Iterator[Message]:
    """Messages of one topic at the start of the recording."""
    return recording.messages({topic}, limit=_SEARCHED)


def _odometry(message: Message) -> Event | None:
    if message.topic.type.endswith("/VehicleOdometry"):
        return px4_odometry(message.content, message.time)
    return messages.odometry(message.content, message.time)


def _stop(message: Message) -> Event:
    return OperatorStop(message.time, message.time, bool(message.content.data))
