"""Parameters: names of topics are those that ROS takes, and every error names its parameter."""

from random import Random
from typing import Any

import pytest

from liquid_nav.errors import ConfigError
from liquid_nav.ros.controller.parameters import SPECS, Parameters
from liquid_nav.ros.parameters import Spec, name_fault, name_or_empty_fault, namespace_fault
from ros.ros_support import Spinner

pytest.importorskip("rclpy")


def test_every_name_that_is_taken_can_be_resolved() -> None:
    """Random names against rclpy; it alone takes a tilde that no slash follows."""
    random, letters = Random(3), "ab_9/~ -é.\n"
    with Spinner() as ros:
        node = ros.node("reader", namespace="drone")
        for _ in range(20_000):
            name = "".join(random.choice(letters) for _ in range(random.randint(0, 7)))
            try:
                node.resolve_topic_name(name)
                takes = True
            except Exception:
                takes = False
            if name[:1] == "~" and name[1:2] not in ("", "/"):
                takes = False
            assert (name_fault(name) == "") == takes, repr(name)


@pytest.mark.parametrize(
    ("check", "value", "right"),
    [
        (name_fault, "", False),
        (name_or_empty_fault, "", True),
        (namespace_fault, "", True),
        (namespace_fault, "/", True),
        (namespace_fault, "/px4_1/", True),
        (namespace_fault, "/px4 1", False),
        (name_fault, "{node}/{x}", False),
        (name_fault, "{ns}/imu", True),
        (name_fault, "x" * 248, False),
    ],
)
def test_what_may_be_empty_and_what_may_not(check: Any, value: str, right: bool) -> None:
    assert (check(value) == "") == right


VALUES: tuple[Any, ...] = (
    *(True, 0, -1, 3, 2**70, 0.0, -0.5, 1e300, float("nan"), float("inf"), "", "a b", "\0", "9"),
    *(b"x", None, [], [0.0], [float("nan")] * 4, [1.0, 0.0, 0.0, 0.0], ["a"], {}),
)


def test_no_value_of_any_parameter_raises_anything_but_a_config_error() -> None:
    defaults = {spec.name: spec.default for spec in SPECS}
    random, refused = Random(5), 0
    for spec in SPECS:
        for value in VALUES:
            other = random.choice(SPECS)
            values = defaults | {other.name: random.choice(VALUES), spec.name: value}
            error = error_of(values)
            assert not error or any(name in error for name in values), error
            refused += error != ""
    assert refused > len(SPECS)


def error_of(values: dict[str, Any]) -> str:
    """What is wrong with these parameters, or an empty text."""
    try:
        Parameters.of(values)
    except ConfigError as error:
        return str(error)
    return ""


def test_the_fault_of_a_value_names_the_parameter() -> None:
    spec = Spec("topics.imu", "imu", "The topic.", fault=name_fault)
    assert spec.check("a/b") == "a/b"
    with pytest.raises(ConfigError, match=r"^topics\.imu must be a valid name in ROS 2, got 'a b'"):
        spec.check("a b")
    with pytest.raises(ConfigError, match=r"^topics\.imu must be of type str"):
        spec.check(3)
