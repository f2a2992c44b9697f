"""How the sensors of a recorded flight sit on the vehicle, as the recording itself says."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Message
from liquid_nav.errors import ReplayError
from liquid_nav.events import Channel
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.fields import BODY
from liquid_nav.messages.plug import Rotation
from liquid_nav.messages.transforms import ImuMounting
from liquid_nav.replay.topics import Topics

TF_STATIC, TF_TYPE = "/tf_static", "tf2_msgs/msg/TFMessage"
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


def find_imu_rotation(
    recording: Recording, topics: Topics, body: str = BODY
) -> tuple[Rotation | None, str]:
    """Find the rotation from the IMU's frame to the body's by static transforms, as in flight.

    Args:
        recording: the recording.
        topics: the topic of each role.
        body: the frame of the body.

    Returns:
        The rotation, None for the identity, and in words where it comes from.

    """
    mounting, imu = ImuMounting(body=body), topics.channels.get(Channel.IMU)
    if imu is None:
        return None, mounting.words
    first = next(_early(recording, imu), None)
    header = getattr(first and first.content, "header", None)
    transforms = (
        name
        for name, topic in recording.topics.items()
        if topic.type == TF_TYPE and name.endswith(TF_STATIC)
    )
    for message in _early(recording, *transforms):
        # A broken transform is missing then, which matters only if it was on the way.
        with suppress(MessageError):
            mounting.add(message.content)
    rotation = mounting.rotation(getattr(header, "frame_id", None))
    return rotation, mounting.words


def _early(recording: Recording, *topics: str) -> Iterator[Message]:
    """Messages of some topics at the start of the recording."""
    return recording.messages(set(topics), limit=_SEARCHED) if topics else iter(())
