"""Checks of the options of cells, solvers and wirings: each raises ConfigError by their names."""

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from liquid_nav.errors import ConfigError

MOST = 16_384
"""The largest size: a square matrix of it takes a gigabyte, and no cell is of use beyond."""


def check_counts(least: int = 1, most: int = MOST, **values: Any) -> None:
    """Check that these are whole numbers, not truth values, from `least` to `most`."""
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise ConfigError(f"{name} must be a whole number, got {value!r}")
        if int(value) < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
        if int(value) > most:
            raise ConfigError(f"{name} must be at most {most}, got {value}")


def check_numbers(**values: Any) -> None:
    """Check that these are numbers, not truth values. Whoever checks a range refuses NaN."""
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise ConfigError(f"{name} must be a number, got {value!r}")


def check_seconds(**values: Any) -> None:
    """Check that these are positive and finite numbers."""
    check_numbers(**values)
    for name, value in values.items():
        if not 0.0 < value < math.inf:
            raise ConfigError(f"{name} must be positive and finite seconds, got {value}")


def check_flags(**values: Any) -> None:
    """Check that these are True or False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ConfigError(f"{name} must be True or False, got {value!r}")


def check_choice(known: Collection[str], **values: Any) -> None:
    """Check that these are among the known names."""
    for name, value in values.items():
        if not isinstance(value, str) or value not in known:
            raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}")
