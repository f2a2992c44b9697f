"""Message types that carry events. Each is a plug, found by channel and type.

A user's package adds one by an entry point of the group ``liquid_nav.messages``::

    [project.entry-points."liquid_nav.messages"]
    sonar = "my_package.sonar:SonarMessage"

The controller node, the recorder and the replay then use it without any edit: they look up the plug
that decodes the type of a topic, and the one that encodes the events of a channel.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel, Event
from liquid_nav.messages.camera.depth import Depth
from liquid_nav.messages.fields import Fields
from liquid_nav.registry import Registry

Rotation = NDArray[np.float64]
"""Rotation matrix, shape (3, 3)."""

logger = logging.getLogger(__name__)


class ImageAdapter(Protocol):
    """Turns a camera's image into the policy's: `liquid_nav.messages.camera.CameraAdapter`."""

    def halvings(self, width: int, height: int) -> int:
        """Return how many times an image of this size, in pixels, is halved first."""

    def adapt(self, image: NDArray[np.uint8], halved: int = 0) -> NDArray[np.uint8]:
        """Return the policy's image for the camera's, uint8 RGB (H, W, 3), already `halved`."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What had to be assumed about the camera, in plain sentences."""


def aligned(frame_id: str | None) -> Rotation | None:
    """Return None: the axes of the sensor are those of the body."""
    return None


@dataclass
class SensorSetup:
    """How the sensors are mounted on the vehicle, which decoders need in addition to a message.

    Attributes:
        camera: turns images into those of the policy's camera; without it images are refused.
        imu_rotation: returns the rotation, shape (3, 3), from the axes of an IMU to body FLU, for
            the ``frame_id`` of its message (None if it has none). It returns None if there is
            nothing to rotate, and may raise `MessageError`.
        goal_frame: ``frame_id`` that goals must have; empty accepts any.
        depth: how many bits images of 16 bits use.

    """

    camera: ImageAdapter | None = None
    imu_rotation: Callable[[str | None], Rotation | None] = aligned
    goal_frame: str = ""
    depth: Depth = field(default_factory=Depth)

    @property
    def camera_warnings(self) -> tuple[str, ...]:
        """What had to be assumed about the images so far, in plain sentences."""
        found = () if self.camera is None else self.camera.warnings
        return (*found, self.depth.warning) if self.depth.warning else found


class EventMessage(ABC):
    """One type of ROS message that carries events of one channel.

    Attributes:
        channel: channel of the events.
        type: type of the messages, such as ``sensor_msgs/msg/Imu``.

    """

    channel: ClassVar[Channel]
    type: ClassVar[str]

    @abstractmethod
    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> Event:
        """Make an event of a message.

        Args:
            message: read by attribute.
            arrival: when it arrived, ns.
            setup: how the sensors are mounted on the vehicle.

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
    """Return every type of message that carries events, our own first.

    A type of an installed package that cannot be imported is left out, with a warning: the vehicle
    flies without it, unless its policy needs it.
    """
    return [kind() for name in MESSAGES if (kind := _imported(name)) is not None]


def _imported(name: str) -> type[EventMessage] | None:
    try:
        return MESSAGES.get(name)
    except ConfigError as error:
        logger.warning("%s; it is left out", error)
        return None


def messages_of(channel: Channel) -> list[EventMessage]:
    """Return the types of messages that carry events of a channel, our own first."""
    return [message for message in all_messages() if message.channel == channel]


def channel_types() -> dict[Channel, tuple[str, ...]]:
    """Return the names of these types for each channel, see `messages_of`."""
    types: dict[Channel, tuple[str, ...]] = {}
    for message in all_messages():
        types[message.channel] = (*types.get(message.channel, ()), message.type)
    return types


def message_of(channel: Channel, message_type: str) -> EventMessage:
    """Find the plug that decodes messages of a type into events of a channel.

    Raises:
        ConfigError: when there is none; it names the types that carry the channel.

    """
    known = messages_of(channel)
    for message in known:
        if message.type == message_type:
            return message
    types = " or ".join(message.type for message in known) or "not in any registered message"
    raise ConfigError(f"{message_type!r} carries no {channel.value}, which is {types}")


def writable_message(channel: Channel) -> WritableMessage | None:
    """Find the plug that encodes events of a channel; None if its events are not written."""
    found = (m for m in messages_of(channel) if isinstance(m, WritableMessage))
    return next(found, None)
