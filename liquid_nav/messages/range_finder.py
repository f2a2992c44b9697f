"""The channel `range` as ``sensor_msgs/Range`` (REP-117)."""

import math
from typing import Any

from liquid_nav.events import Channel, RangeSample
from liquid_nav.messages.decode import stamp_at
from liquid_nav.messages.fields import BEAM, Fields, header
from liquid_nav.messages.plug import SensorSetup, WritableMessage

_INFRARED = 1


class RangeMessage(WritableMessage):
    """Distance along a beam, metres, in single precision."""

    channel = Channel.RANGE
    type = "sensor_msgs/msg/Range"
    topic = "/range"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> RangeSample:
        """Make an event of a message.

        A reading outside ``min_range`` and ``max_range`` says, as in REP-117, that nothing is in
        range (infinity) or that something is too close to tell (minus infinity): many drivers
        report such readings as numbers. Limits that leave no range were never filled in.

        Raises:
            MessageError: on a time out of range.

        """
        stamp, distance = stamp_at(message, arrival), float(message.range)
        if message.min_range < message.max_range:
            if distance > message.max_range:
                distance = math.inf
            elif distance < message.min_range:
                distance = -math.inf
        return RangeSample(stamp, arrival, distance)

    def encode(self, event: RangeSample) -> Fields:
        """Give the fields, without limits: by REP-117 the distance itself says what is beyond."""
        return {
            "header": header(event.stamp, BEAM),
            "radiation_type": _INFRARED,
            "min_range": -math.inf,
            "max_range": math.inf,
            "range": event.distance,
        }
