"""Functions that all decoders share: the error of a refused message, and the check of its time.

Messages are read by attribute, so that the same decoders serve live messages and recorded ones. A
message comes from outside: one that cannot become an event is a `MessageError`, raised before
memory is used for it. Numbers that are not finite are accepted: the controller rejects them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import LiquidNavError
from liquid_nav.events import SECOND

FUTURE_TOLERANCE = SECOND // 100
"""Nanoseconds by which the clock of a driver may run ahead of ours."""

OLDEST = 10 * SECOND
"""Nanoseconds after which a measurement is too old to be used."""


class MessageError(LiquidNavError, ValueError):
    """A message that cannot become an event."""


def stamp_of(header_stamp: Any) -> int:
    """Convert a ``builtin_interfaces/Time`` to nanoseconds.

    Raises:
        MessageError: when `nanosec` is a second or more.

    """
    if not 0 <= header_stamp.nanosec < SECOND:
        raise MessageError(f"stamp has nanosec {header_stamp.nanosec}, it must be below {SECOND}")
    return int(header_stamp.sec) * SECOND + int(header_stamp.nanosec)


def check_time(
    stamp: int, arrival: int, future_tolerance: int = FUTURE_TOLERANCE, oldest: int = OLDEST
) -> int:
    """Return the stamp for an event: that of the message, but never later than the arrival.

    Args:
        stamp: when the message says it was measured, ns.
        arrival: when it came, ns, same clock.
        future_tolerance: ns by which the stamp may be ahead of the arrival.
        oldest: ns by which it may be behind.

    Raises:
        MessageError: when the stamp is further ahead or behind.

    """
    if stamp - arrival > future_tolerance:
        raise MessageError(
            f"stamp is {(stamp - arrival) / SECOND:.3f} s in the future, at most "
            f"{future_tolerance / SECOND:g} s is accepted; do both computers have the same clock?"
        )
    if arrival - stamp > oldest:
        raise MessageError(
            f"stamp is {(arrival - stamp) / SECOND:.3f} s old, at most {oldest / SECOND:g} s is "
            "accepted; does the driver stamp its messages by the same clock?"
        )
    return min(stamp, arrival)


def stamp_at(message: Any, arrival: int) -> int:
    """Return the checked stamp, ns, of a message with a header, see `check_time`."""
    return check_time(stamp_of(message.header.stamp), arrival)


def vector_of(message: Any) -> NDArray[np.float64]:
    """Return the numbers of a ``geometry_msgs/Vector3`` or ``Point``, shape (3,)."""
    return np.array((message.x, message.y, message.z), dtype=np.float64)
