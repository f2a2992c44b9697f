"""How the sensors of a recorded flight sit on the vehicle, as the recording itself says."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Message
from liquid_nav.errors import ReplayError
from liquid_nav.events import Channel
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.fields import BODY
from liquid_nav.messages.plug import Rotation
from liquid_nav.messages.transforms import StaticTransforms
from liquid_nav.replay.topics import Topics

TF_STATIC = "/tf_static"
_SEARCHED = 20_000
"""Messages at the start of a recording among which calibration and static transforms are sought."""


def find_camera_info(recording: Recording, topics: Topics) -> Any | None:
    """Find the first calibration at the start of the recording; None without a topic of them.

    Raises:
        ReplayError: when no message of the topic can be read.

    """
    if topics.camera_info is None:
        return None
    first = next(_early(recording, topics.camera_info), None)
    if first is None:
        raise ReplayError(
            f"no message of {topics.camera_info} can be read; give the calibration, "
            "or leave it out by --camera-info none"
        )
    return first.content


def find_imu_rotation(recording: Recording, topics: Topics) -> tuple[Rotation | None, str]:
    """Find the rotation from the IMU's frame to the body's by ``/tf_static``.

    Returns:
        The rotation, None for the identity, and in words where it comes from.

    """
    imu = topics.channels.get(Channel.IMU)
    if imu is None or TF_STATIC not in recording.topics:
        return None, "the IMU is taken to be aligned with the body"
    first = next(_early(recording, imu), None)
    frame = getattr(getattr(first and first.content, "header", None), "frame_id", "")
    transforms = StaticTransforms()
    for message in _early(recording, TF_STATIC):
        # A broken transform is missing then, which matters only if it was on the way.
        with suppress(MessageError):
            transforms.add(message.content)
    try:
        rotation = transforms.rotation(frame, BODY)
    except MessageError:
        return (
            None,
            f"{TF_STATIC} does not lead from {frame!r} to {BODY}: the IMU is taken to be aligned",
        )
    if np.array_equal(rotation, np.eye(3)):
        return None, f"the IMU is aligned with the body by {TF_STATIC}"
    return rotation, f"the IMU is turned from {frame!r} to {BODY} by {TF_STATIC}"


def _early(recording: Recording, topic: str) -> Iterator[Message]:
    """Messages of one topic at the start of the recording."""
    return recording.messages({topic}, limit=_SEARCHED)
