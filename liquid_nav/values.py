"""Checks of single values at a boundary: times in nanoseconds, and numbers."""

from typing import Any

import numpy as np

from liquid_nav.errors import EventError, LiquidNavError

SECOND = 1_000_000_000
"""Nanoseconds in one second."""

INT64 = range(-(2**63), 2**63)
"""Every time, in nanoseconds."""


def is_number(value: object) -> bool:
    """Whether a value is a real number of Python or NumPy; True and False are none."""
    numbers = (int, float, np.integer, np.floating)
    return isinstance(value, numbers) and not isinstance(value, bool)


def nanoseconds(seconds: float) -> int:
    """Convert a time in seconds, such as ``time.time()``, to the whole nanoseconds used here.

    A float holds the time since 1970 to about 0.2 microseconds; where a clock can give
    nanoseconds, as ``time.time_ns()`` does, take those.

    Raises:
        EventError: on what is not a number, not finite, or beyond 64 bits of nanoseconds.

    """
    if is_number(seconds) and np.isfinite(seconds):
        # A Python number, because those of NumPy overflow.
        time = round((int if isinstance(seconds, (int, np.integer)) else float)(seconds) * SECOND)
        if time in INT64:
            return time
    raise EventError(f"seconds must be a finite number within 292 years, got {seconds!r}")


def whole_nanoseconds(name: str, value: Any, error: type[LiquidNavError] = EventError) -> int:
    """Return a time as a Python int; `name` says in an error what it is.

    Raises:
        LiquidNavError: of the type `error`, on a time that is not a whole number of nanoseconds
            within 64 bits. A float is refused because it may be in seconds.

    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if whole and int(value) in INT64:
        return int(value)
    raise error(
        f"{name} must be int nanoseconds within 64 bits, got {value!r}; "
        "liquid_nav.events.nanoseconds converts seconds"
    )


def check_number(name: str, value: object, error: type[LiquidNavError]) -> None:
    """Raise `error` unless a value is a real number; NaN and infinity are numbers here."""
    if not is_number(value):
        raise error(f"{name} must be a number, got {value!r}")
