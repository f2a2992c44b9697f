"""A channel of one's own: an airspeed sensor's events, their message, and a policy's encoder."""

from dataclasses import dataclass
from typing import Any

from liquid_nav.events import Channel, Event
from liquid_nav.messages.decode import stamp_at
from liquid_nav.messages.fields import BODY, Fields, header, vector3
from liquid_nav.messages.plug import SensorSetup, WritableMessage
from liquid_nav.onboard.encoders import DenseEncoder


@dataclass(frozen=True, eq=False)
class Airspeed(Event):
    """Speed of the air along the body's x axis.

    Attributes:
        speed: m/s, forward.

    """

    channel = Channel("airspeed")

    speed: float


@dataclass(frozen=True)
class AirspeedEncoder(DenseEncoder):
    """Reads airspeed in units of 10 m/s."""

    features: int = 8

    name = "airspeed"
    event = Airspeed
    scale = (0.1,)

    def measure(self, event: Airspeed) -> list[float]:
        """The speed in m/s."""
        return [event.speed]


class AirspeedMessage(WritableMessage):
    """Velocity of the air as ``geometry_msgs/Vector3Stamped``, m/s in body FLU: x is used."""

    channel = Airspeed.channel
    type = "geometry_msgs/msg/Vector3Stamped"
    topic = "/airspeed"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> Airspeed:
        """Make an event of a message."""
        return Airspeed(stamp_at(message, arrival), arrival, float(message.vector.x))

    def encode(self, event: Airspeed) -> Fields:
        """Give the fields."""
        return {"header": header(event.stamp, BODY), "vector": vector3((event.speed, 0.0, 0.0))}
