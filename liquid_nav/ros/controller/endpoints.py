"""A managed node with two threads for its endpoints, which reports those whose QoS does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import qos_policy_name_from_kind as policy_name

from liquid_nav.ros.controller.lifecycle import ManagedNode
from liquid_nav.ros.controller.lock import FairLock
from liquid_nav.ros.controller.sensors.receiver import Receiver

HANGS = 0.2
"""s to wait for the controller, after which it counts as hanging; it takes milliseconds."""

_THREAD_TIMEOUT = 2.0
"""s that the end of the node waits for the thread that receives measurements."""


class EndpointNode(ManagedNode):
    """The node's executor serves everything but measurements and simulated time.

    Those are received by a thread of their own, see `Receiver`. A subclass calls
    `self._receiver.start` when it is ready, and implements `_answer`.

    Args:
        name: of the node.
        options: of `rclpy.lifecycle.LifecycleNode`.

    """

    def __init__(self, name: str, **options: Any) -> None:
        # Needed by `create_publisher`, which the constructor of the base class calls.
        self._qos_faults: dict[str, str] = {}
        self._all_publishers: list[Any] = []
        self._lock = FairLock()  # Of the controller and all that its events and commands pass.
        self._receiver = Receiver(self._lock, self._answer, self._log_error)
        super().__init__(name, **options)

    def _answer(self) -> None:
        """Answer the events of the receiver's last turn."""
        raise NotImplementedError

    def destroy_node(self) -> None:
        """As the base class, after the end of the thread that receives measurements."""
        self._receiver.close(_THREAD_TIMEOUT)
        super().destroy_node()
        # rclpy does not destroy this one, and with it the node stays in the graph for a while.
        self._state_machine.destroy_when_not_in_use()

    def create_publisher(self, *args: Any, **options: Any) -> Any:
        """As the base class; reports readers of incompatible QoS, also those of back-ends."""
        topic = options.get("topic", args[1] if len(args) > 1 else "")
        options.setdefault(
            "event_callbacks",
            PublisherEventCallbacks(incompatible_qos=lambda info: self._on_qos_fault(topic, info)),
        )
        publisher = super().create_publisher(*args, **options)
        self._all_publishers.append(publisher)
        return publisher

    def destroy_publisher(self, publisher: Any) -> bool:
        """As the base class."""
        if publisher in self._all_publishers:
            self._all_publishers.remove(publisher)
        return bool(super().destroy_publisher(publisher))

    @property
    def subscriptions(self) -> Iterator[Any]:
        """Those that an executor serves: not those of the `Receiver`."""
        return (s for s in super().subscriptions if s.callback_group is not self._receiver.group)

    @property
    def waitables(self) -> Iterator[Any]:
        """Those that an executor serves: not the QoS events of the `Receiver`'s subscriptions."""
        return (w for w in super().waitables if w.callback_group is not self._receiver.group)

    def create_subscription(self, *args: Any, **options: Any) -> Any:
        """As the base class; simulated time is received together with the measurements."""
        if args[1:2] == ("/clock",):
            options["callback_group"] = self._receiver.group
        subscription = super().create_subscription(*args, **options)
        if subscription.callback_group is self._receiver.group:
            self._receiver.add(subscription)
        return subscription

    def destroy_subscription(self, subscription: Any) -> bool:
        """As the base class."""
        self._receiver.remove(subscription)
        return bool(super().destroy_subscription(subscription))

    def _on_qos_fault(self, topic: str, info: Any) -> None:
        policy = policy_name(info.last_policy_kind)
        self._qos_faults[topic] = f"{policy}, {info.total_count} endpoints"
        self.get_logger().warning(f"incompatible QoS on {topic}: {policy}; no messages will pass")

    def _log_error(self, text: str) -> None:
        self.get_logger().error(text, throttle_duration_sec=1.0)
