"""Message types that carry events, each a plug: found by channel and type.

A package of a user's own adds one by an entry point of the group ``liquid_nav.messages``::

    [project.entry-points."liquid_nav.messages"]
    sonar = "my_package.sonar:SonarMessage"

The controller node, the recorder and the replay then take it without any edit: they look up what
decodes the type of a topic, and what encodes the events of a channel.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel, Event
from liquid_nav.messages.fields import Fields
from liquid_nav.registry import Registry

Rotation = NDArray[np.float64]
"""Rotation matrix, shape (3, 3)."""

logger = logging.getLogger(__name__)


class ImageAdapter(Protocol):
    """Turns a camera's image into the policy's: `liquid_nav.messages.camera.CameraAdapter`."""

    def halvings(self, width: int, height: int) -> int:
        """How many times an image of this size, in pixels, is halved before all else."""

    def adapt(self, image: NDArray[np.uint8], halved: int = 0) -> NDArray[np.uint8]:
        """From uint8 RGB (H, W, 3) of the camera, `halved` so many times, to that of the policy."""


def aligned(frame_id: str | None) -> Rotation | None:
    """Rotation of a sensor whose axes are those of the body: none."""
    return None


@dataclass
class SensorSetup:
    """How the sensors sit on the vehicle, which decoders need beside the message.

    Attributes:
        camera: turns images into those of the policy's camera; without it images are refused.
        imu_rotation: from the ``frame_id`` of an IMU's message, None where it has none, to the
            rotation that takes its axes to body FLU, shape (3, 3), or to None, which leaves every
            bit as it is. It may raise `MessageError`.
        goal_frame: ``frame_id`` that goals must have; empty accepts any.

    """

    camera: ImageAdapter | None = None
    imu_rotation: Callable[[str | None], Rotation | None] = aligned
    goal_frame: str = ""


class EventMessage(ABC):
    """One type of ROS message that carries events of one channel.

    Attributes:
        channel: of the events.
        type: of the messages, such as ``sensor_msgs/msg/Imu``.

    """

    channel: ClassVar[Channel]
    type: ClassVar[str]

    @abstractmethod
    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> Event:
        """Make an event of a message.

        Args:
            message: read by attribute.
            arrival: when it came, ns.
            setup: how the sensors sit on the vehicle.

        Raises:
            MessageError: when the message cannot become an event, for example on a stamp out of
                range, see `liquid_nav.messages.decode.check_time`.

        """


class WritableMessage(EventMessage):
    """The type of message that recordings and the simulator write for events of its channel.

    Attributes:
        topic: where a recording keeps the events of the channel.

    """

    topic: ClassVar[str]

    @abstractmethod
    def encode(self, event: Any) -> Fields:
        """Give the fields of the message of an event of this channel.

        `decode` of such a message, at the event's arrival, gives the same event bit for bit.
        """


MESSAGES: Registry[type[EventMessage]] = Registry(
    "liquid_nav.messages",
    "message",
    {
        "image": "liquid_nav.messages.image:ImageMessage",
        "compressed_image": "liquid_nav.messages.compressed_image:CompressedImageMessage",
        "imu": "liquid_nav.messages.imu:ImuMessage",
        "px4_imu": "liquid_nav.messages.px4:Px4ImuMessage",
        "odometry": "liquid_nav.messages.odometry:OdometryMessage",
        "px4_odometry": "liquid_nav.messages.px4:Px4OdometryMessage",
        "goal": "liquid_nav.messages.goal:GoalMessage",
        "range": "liquid_nav.messages.range_finder:RangeMessage",
        "operator_stop": "liquid_nav.messages.operator:OperatorStopMessage",
    },
)
"""Types of messages that carry events: our own, and those of installed packages."""


def all_messages() -> list[EventMessage]:
    """Every type of message that carries events, our own first.

    One of an installed package that cannot be imported is left out, with a warning: the vehicle
    flies without, unless its policy needs it.
    """
    return [kind() for name in MESSAGES if (kind := _imported(name)) is not None]


def _imported(name: str) -> type[EventMessage] | None:
    try:
        return MESSAGES.get(name)
    except ConfigError as error:
        logger.warning("%s; it is left out", error)
        return None


def messages_of(channel: Channel) -> list[EventMessage]:
    """Types of messages that carry events of a channel; our own first, maybe none."""
    return [message for message in all_messages() if message.channel == channel]


def channel_types() -> dict[Channel, tuple[str, ...]]:
    """Types of messages that carry events of each channel, as `messages_of`."""
    types: dict[Channel, tuple[str, ...]] = {}
    for message in all_messages():
        types[message.channel] = (*types.get(message.channel, ()), message.type)
    return types


def message_of(channel: Channel, message_type: str) -> EventMessage:
    """Find what decodes messages of a type into events of a channel.

    Raises:
        ConfigError: when there is none, naming the types that the channel has.

    """
    known = messages_of(channel)
    for message in known:
        if message.type == message_type:
            return message
    types = " or ".join(message.type for message in known) or "not in any registered message"
    raise ConfigError(f"{message_type!r} carries no {channel.value}, which is {types}")


def writable_message(channel: Channel) -> WritableMessage | None:
    """Find what encodes events of a channel; None where its events are not written."""
    found = (m for m in messages_of(channel) if isinstance(m, WritableMessage))
    return next(found, None)
