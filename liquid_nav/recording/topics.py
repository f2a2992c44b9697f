"""Which topic of a recording is the flight, where its names and types leave no doubt."""

from collections.abc import Mapping
from typing import Any

from liquid_nav.bags.records import Topic
from liquid_nav.events import Channel
from liquid_nav.messages.plug import channel_types, writable_message
from liquid_nav.recording.recorder import COMMAND

CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
TRUTH = "/ground_truth"
"""Namespace of what only a simulator knows; no topic in it is taken unless it is chosen."""

COMPRESSED = "/compressed"
"""What image_transport adds to the name of a topic for its compressed images."""


def camera_info_beside(topics: Mapping[str, Topic], camera: str) -> str | None:
    """Find the CameraInfo in the namespace of the images, as image_transport has it."""
    base = camera
    while "/" in base:
        base = base.rpartition("/")[0]
        name = f"{base}/camera_info"
        if name in topics and topics[name].type == CAMERA_INFO_TYPE:
            return name
    return None


def controller_parameters(topics: Mapping[str, Topic]) -> dict[str, Any]:
    """Parameters by which a controller node listens to a recording that is played back.

    Of each channel it is the topic on which our recorders keep it, in a recording of ours, and else
    the only one of a type that carries it.

    Args:
        topics: of the recording, by name.

    Returns:
        Values by name: ``topics.*``, and the type or transport of the messages. A channel that is
        not there, or that several topics could be, is left out.

    """
    values: dict[str, Any] = {}
    for channel, types in channel_types().items():
        topic = None if channel == Channel.OPERATOR else _topic_of(topics, channel, types)
        if topic is None:
            continue
        if channel != Channel.CAMERA:
            values[f"topics.{channel.value}"] = topic.name
            if len(types) > 1:
                values[f"{channel.value}_type"] = topic.type
            continue
        compressed = topic.name.endswith(COMPRESSED)
        values["topics.image"] = topic.name.removesuffix(COMPRESSED)
        values["image_transport"] = "compressed" if compressed else "raw"
        if info := camera_info_beside(topics, topic.name):
            values["topics.camera_info"] = info
    return values


def _topic_of(
    topics: Mapping[str, Topic], channel: Channel, types: tuple[str, ...]
) -> Topic | None:
    ours = writable_message(channel)
    if COMMAND in topics and ours is not None and ours.topic in topics:
        return topics[ours.topic]
    candidates = {
        topic.name: topic
        for topic in topics.values()
        if topic.type in types and not topic.name.startswith(f"{TRUTH}/")
    }
    # Compressed images beside the same images uncompressed are one camera.
    for name in list(candidates):
        if f"{name}{COMPRESSED}" in candidates:
            del candidates[f"{name}{COMPRESSED}"]
    found = [
        topic
        for topic in candidates.values()
        if topic.type != "sensor_msgs/msg/CompressedImage" or topic.name.endswith(COMPRESSED)
    ]
    return found[0] if len(found) == 1 else None
