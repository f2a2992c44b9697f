"""A channel of one's own: events of an airspeed sensor, and how a policy reads them."""

from dataclasses import dataclass

from liquid_nav.events import Channel, Event
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
