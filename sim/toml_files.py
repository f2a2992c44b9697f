"""Reads TOML files, with one type of error for everything that can be wrong with them."""

import sys
from pathlib import Path
from typing import Any

from liquid_nav_sim.errors import SimulationError

if sys.version_info >= (3, 11):
    from importlib.resources.abc import Traversable

    import tomllib
else:
    from importlib.abc import Traversable

    import tomli as tomllib


def read_toml(file: Path | Traversable, what: str) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        file: path of the file.
        what: description of the file at the start of an error message.

    Raises:
        SimulationError: on a file that cannot be read, or that is not TOML in UTF-8.
    """
    try:
        table: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SimulationError(f"{what}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SimulationError(f"{what}: not a text in UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SimulationError(f"{what}: not TOML: {error}") from error
    except ValueError as error:
        # A path with a zero byte, or a number or date that Python cannot hold.
        raise SimulationError(f"{what}: cannot be read: {error}") from error
    return table


def is_number(value: object) -> bool:
    """Whether a value is a number that a float can hold; True and False do not count."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) < 2**1023
