"""Parameters of nodes as tables: name, default, description, bounds.

The tables need no ROS, so that values can be checked and tested without it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from liquid_nav.errors import ConfigError

if TYPE_CHECKING:
    from rclpy.node import Node


_TOPIC = re.compile(r"~|(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
_SUBSTITUTION = re.compile(r"\{(node|ns|namespace)\}")
_LONGEST_NAME = 247
"""Characters that DDS allows, with the namespace before the name."""


def name_fault(value: str) -> str:
    """Return why this cannot be the name of a topic or a namespace in ROS 2; empty if it can.

    The rules are those of ``rcl_validate_topic_name`` and ``rmw_validate_full_topic_name``.
    """
    if not value:
        return "must not be empty"
    return name_or_empty_fault(value)


def namespace_fault(value: str) -> str:
    """As `name_fault`, for a namespace: it may be empty, and may end with a slash."""
    return name_or_empty_fault(value.rstrip("/"))


def name_or_empty_fault(value: str) -> str:
    """As `name_fault`, for a name that may be left empty."""
    name = _SUBSTITUTION.sub("x", value)
    if value and (not _TOPIC.fullmatch(name) or len(value) > _LONGEST_NAME):
        return (
            f"must be a valid name in ROS 2, got {value!r}: letters, digits and underscores, a "
            "single '/' between the parts, and no part that begins with a digit"
        )
    return ""


@dataclass(frozen=True)
class Spec:
    """One parameter of a node, or one option of a back-end.

    Attributes:
        name, default, description: as `ros2 param describe` shows them.
        bounds: lowest and highest value of a number, or None.
        choices: the strings that are allowed; empty for any.
        fault: returns what is wrong with a value of the right type, empty if nothing is; for
            instance `name_fault`.

    """

    name: str
    default: Any
    description: str
    bounds: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    fault: Callable[[Any], str] | None = None

    def check(self, value: Any, name: str = "") -> Any:
        """Return the value; an int where the default is a float becomes a float.

        Args:
            value: to be checked.
            name: what errors call the parameter, if not by its own name.

        Raises:
            ConfigError: if the value is of another type than the default, not finite, out of the
                bounds, not one of the choices, or refused by `fault`.

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
        fault = self.fault(value) if self.fault else ""
        if fault:
            raise ConfigError(f"{name} {fault}")
        return value


EXECUTOR = Spec(
    "executor",
    "events",
    "Executor of the node: events (lean, where rclpy has it) or single (in every rclpy).",
    choices=("events", "single"),
)

PRIORITY = Spec(
    "priority",
    0,
    "Nice value of the process: below 0 it comes before others, which needs the right to that.",
    (-20, 19),
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


def refuse_changes(node: Node, specs: Iterable[Spec]) -> None:
    """Refuse every later change of these parameters, which the node reads only at its start.

    `use_sim_time` is refused as well: the times that the node has noted are of the other clock.
    """
    from rcl_interfaces.msg import SetParametersResult

    names = {"use_sim_time", *(spec.name for spec in specs)}

    def check(changed: Iterable[Any]) -> Any:
        late = [parameter.name for parameter in changed if parameter.name in names]
        reason = f"{late[0]} is read only when the node starts" if late else ""
        return SetParametersResult(successful=not late, reason=reason)

    node.add_on_set_parameters_callback(check)


def read_checked(node: Node, specs: Iterable[Spec]) -> dict[str, Any]:
    """As `read`, and check each value.

    Raises:
        ConfigError: on a value that `Spec.check` refuses.

    """
    specs = tuple(specs)
    values = read(node, specs)
    return {spec.name: spec.check(values[spec.name]) for spec in specs}


def check_topics(node: Node, topics: Mapping[str, str]) -> None:
    """Check that no two of a node's topics are the same one.

    Args:
        node: resolves the names, with its namespace and its remappings.
        topics: topics by the parameter that names each, or by what the topic is for.

    Raises:
        ConfigError: if two are the same, or a name is none.

    """
    from rclpy.exceptions import NameValidationException

    owners: dict[str, str] = {}
    for owner, topic in topics.items():
        try:
            name = node.resolve_topic_name(topic)
        except (NameValidationException, RuntimeError) as error:
            raise ConfigError(f"{owner}: {first_line(error)}") from error
        if name in owners:
            raise ConfigError(
                f"{owner} and {owners[name]} are the same topic, {name}: "
                "each needs a topic of its own"
            )
        owners[name] = owner


def first_line(error: Exception) -> str:
    """Text of an error in one line, without the places in C sources that ROS adds to it."""
    text = re.sub(r",? at /\S+:\d+", "", str(error)).strip()
    return " ".join(text.split()) or type(error).__name__


def read(node: Node, specs: Iterable[Spec]) -> dict[str, Any]:
    """Values of declared parameters by name; arrays as lists."""
    return {spec.name: plain(node.get_parameter(spec.name).value) for spec in specs}


def plain(value: Any) -> Any:
    """Value of a parameter, an array as a list."""
    return list(value) if not isinstance(value, (str, bool, int, float)) else value
