"""Parameters of nodes as tables: name, default, description, bounds.

The tables need no ROS, so that values can be checked and tested without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from liquid_nav.errors import ConfigError

if TYPE_CHECKING:
    from rclpy.node import Node


@dataclass(frozen=True)
class Spec:
    """One parameter of a node, or one option of a back-end.

    Attributes:
        name, default, description: as `ros2 param describe` shows them.
        bounds: lowest and highest value of a number, or None.
        choices: the strings that are allowed; empty for any.

    """

    name: str
    default: Any
    description: str
    bounds: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any, name: str = "") -> Any:
        """Return the value; an int where the default is a float becomes a float.

        Args:
            value: to be checked.
            name: what errors call the parameter, if not by its own name.

        Raises:
            ConfigError: if the value is of another type than the default, not finite, out of the
                bounds, or not one of the choices.

        """
        name, kind = name or self.name, type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ConfigError(f"{name} must be of type {kind.__name__}, got {value!r}")
        if self.choices and value not in self.choices:
            words = ", ".join(choice or "''" for choice in self.choices)
            raise ConfigError(f"{name} must be one of {words}, got {value!r}")
        # False for NaN too.
        if self.bounds and not self.bounds[0] <= value <= self.bounds[1]:
            raise ConfigError(f"{name} must be in {list(self.bounds)}, got {value!r}")
        if kind is float and not math.isfinite(value):
            raise ConfigError(f"{name} must be finite, got {value!r}")
        return value


EXECUTOR = Spec(
    "executor",
    "events",
    "Executor of the node: events (lean, where rclpy has it) or single (in every rclpy).",
    choices=("events", "single"),
)


def check_all(specs: Iterable[Spec], given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Values of all `specs`: those given, and the defaults of the others.

    Args:
        specs: what there is.
        given: values by name.
        owner: whose they are, in errors.

    Raises:
        ConfigError: on a name that is not in `specs`, or a value that `Spec.check` refuses.

    """
    table = {spec.name: spec for spec in specs}
    unknown = sorted(given.keys() - table.keys())
    if unknown:
        known = ", ".join(table) or "none"
        raise ConfigError(f"{owner} has no option {', '.join(unknown)}; its options: {known}")
    return {
        name: spec.check(given.get(name, spec.default), f"{owner}: {name}")
        for name, spec in table.items()
    }


def declare(node: Node, specs: Sequence[Spec]) -> None:
    """Declare parameters with their descriptors; overrides of the command line and files apply.

    An override of a parameter that the node does not have is a typing error, or meant for another
    node that reads the same file: it is ignored, and a warning is logged.

    Raises:
        rclpy.exceptions.ParameterException: on an override out of range or of another type.

    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    for spec in specs:
        descriptor = ParameterDescriptor(description=spec.description)
        if spec.choices:
            descriptor.additional_constraints = f"one of {', '.join(spec.choices)}"
        if spec.bounds and isinstance(spec.default, int):
            first, last = map(int, spec.bounds)
            descriptor.integer_range = [IntegerRange(from_value=first, to_value=last)]
        elif spec.bounds:
            low, high = spec.bounds
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        node.declare_parameter(spec.name, spec.default, descriptor)
    # Only rclpy knows the overrides, and it says nothing about those that were never declared.
    for name in getattr(node, "_parameter_overrides", {}):
        if not node.has_parameter(name) and not name.startswith("qos_overrides."):
            near = get_close_matches(name, [spec.name for spec in specs], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            node.get_logger().warning(f"{name} is no parameter of this node, ignored{hint}")


def read(node: Node, specs: Iterable[Spec]) -> dict[str, Any]:
    """Values of declared parameters by name; arrays as lists."""
    return {spec.name: plain(node.get_parameter(spec.name).value) for spec in specs}


def plain(value: Any) -> Any:
    """Value of a parameter, an array as a list."""
    return list(value) if not isinstance(value, (str, bool, int, float)) else value
