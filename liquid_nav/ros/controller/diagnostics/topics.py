"""Who publishes the topics of the controller: too many, nobody, or with another type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rclpy.node import Node

from liquid_nav.ros.controller.diagnostics import OK, WARN, Status

TF_STATIC = "/tf_static"
"""Static transforms; several nodes publish them by their nature."""


class Wanted(NamedTuple):
    """A topic that the controller reads.

    Attributes:
        parameter: the parameter that names it.
        topic: its name.
        type: the type of message that is read.
        needed: whether the vehicle does not fly without it.
        shared: whether it is right that several nodes publish on it.

    """

    parameter: str
    topic: str
    type: str
    needed: bool
    shared: bool


def topics_status(
    node: Node, wanted: Sequence[Wanted], commanded: Iterable[str], heartbeat: str
) -> Status:
    """Status `topics` of the diagnostics: topics on which somebody publishes what is not expected.

    Args:
        node: the controller's node.
        wanted: topics that it reads.
        commanded: topics that its back-end publishes on, fully qualified.
        heartbeat: topic of its heartbeat; who reads that may command the vehicle, too.

    """
    faults: list[str] = []
    values: dict[str, str] = {}
    for topic in wanted:
        name = node.resolve_topic_name(topic.topic)
        publishers = node.get_publishers_info_by_topic(name)
        values[name] = ", ".join(f"{_name(p)} ({p.topic_type})" for p in publishers) or "nobody"
        others = [p for p in publishers if p.topic_type != topic.type]
        faults += [
            f"{_name(other)} publishes {other.topic_type} on {name}, but {topic.parameter} is for "
            f"{topic.type}: no message will pass"
            for other in others
        ]
        rest = [_name(p) for p in publishers if p.topic_type == topic.type]
        if len(rest) > 1 and not topic.shared and name != TF_STATIC:
            faults.append(
                f"{name} has {len(rest)} publishers ({', '.join(rest)}): the measurements of "
                f"{topic.parameter} must come from one"
            )
        elif not publishers and topic.needed:
            faults.append(f"nobody publishes {name} ({topic.parameter}){_elsewhere(node, topic)}")
    own = {_full(node.get_name(), node.get_namespace())}
    own |= {_name(reader) for reader in node.get_subscriptions_info_by_topic(heartbeat)}
    for name in commanded:
        others = [_name(p) for p in node.get_publishers_info_by_topic(name)]
        rivals = sorted({other for other in others if other not in own})
        if rivals:
            faults.append(f"{name}, where the commands go, is published by {', '.join(rivals)} too")
    return Status(WARN if faults else OK, "topics", "; ".join(faults) or "OK", values)


def _elsewhere(node: Node, topic: Wanted) -> str:
    """Where messages of the type are published, to help who has named the topic wrongly."""
    names = [
        name
        for name, types in node.get_topic_names_and_types()
        if topic.type in types and node.count_publishers(name)
    ]
    return f"; {topic.type} is published on {', '.join(names)}" if names else ""


def _name(endpoint: object) -> str:
    return _full(endpoint.node_name, endpoint.node_namespace)  # type: ignore[attr-defined]


def _full(name: str, namespace: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
