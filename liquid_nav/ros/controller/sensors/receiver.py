"""The thread that receives the messages of a node, so that nothing else waits behind them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation

from liquid_nav.events import SECOND
from liquid_nav.ros.controller.lock import FairLock

_LARGEST_TURN = 64
"""Messages of one topic that are taken in one turn, at most."""

_LONGEST_TURN = 0.01
"""s after which `after_turn` is called although the turn goes on."""

_INFO = ("received_timestamp", "publication_sequence_number")
"""What `MessageInfo` keeps of that which rclpy gives."""

_EVENT_PERIOD = 0.2
"""s between two looks at QoS events. An executor that waits for them wakes at every message."""

_LONGEST_WAIT = 0.1
"""s after which the thread looks whether its context still exists."""


class MessageInfo(NamedTuple):
    """What the middleware says about one message.

    Attributes:
        received: when it reached this process, ns on the system's clock; 0 if it does not say.
        number: how many messages its publisher had sent by then, itself included; None if it does
            not say.
        newest: whether no newer one of its topic had come when it was taken.

    """

    received: int
    number: int | None
    newest: bool


class Receiver:
    """Takes the messages of a node's measurements on a thread of its own.

    No executor serves these subscriptions, which are those of the callback group `group`. An
    executor comes to services and timers only between the messages: `EventsExecutor` only after
    every message that came before, so that a flood of measurements delays an operator's stop by
    seconds.

    The thread works in turns. In each it takes what has come, at most `_LARGEST_TURN` messages of
    each topic, and calls the callbacks in the order in which the messages were received; only the
    time on ``/clock`` comes first, since a measurement is not older than the newest time that came
    with it. A callback with two parameters also gets the `MessageInfo`, and takes `lock` where it
    needs it; one with a single parameter is called under `lock`.

    It also calls the handlers of their QoS events.

    Args:
        lock: held while callbacks with one parameter run.
        after_turn: called after the messages of a turn, and during a turn that takes longer than
            `_LONGEST_TURN`.
        log: logs an error.

    """

    def __init__(
        self, lock: FairLock, after_turn: Callable[[], None], log: Callable[[str], None]
    ) -> None:
        self._lock, self._after_turn, self._log = lock, after_turn, log
        self.group = MutuallyExclusiveCallbackGroup()
        self._subscriptions: list[Any] = []
        self._changed = self._ended = False
        self._guard: Any = None
        self._thread: threading.Thread | None = None

    def add(self, subscription: Any) -> None:
        """Receive the messages of a subscription from now on."""
        self._subscriptions = [*self._subscriptions, subscription]
        self._wake()

    def remove(self, subscription: Any) -> None:
        """Leave a subscription alone; a callback that has begun goes on."""
        self._subscriptions = [s for s in self._subscriptions if s is not subscription]
        self._wake()

    def start(self, context: Any) -> None:
        """Start the thread, which ends with `close`, or when the context is shut down."""
        self._guard = GuardCondition(None, None, context=context)
        self._thread = threading.Thread(
            target=self._run, args=(context,), name="receiver", daemon=True
        )
        self._thread.start()

    def close(self, timeout: float) -> None:
        """End the thread, and wait for that, `timeout` s at most."""
        self._ended = True
        if self._thread is not None:
            self._wake()
            self._thread.join(timeout)

    def _wake(self) -> None:
        self._changed = True
        if self._guard is not None:
            self._guard.trigger()

    def _run(self, context: Any) -> None:
        while not self._ended and context.ok():
            try:
                self._serve(context)
            except InvalidHandle:  # noqa: PERF203
                continue  # A subscription was destroyed at this moment.
            except Exception as error:
                if context.ok():
                    self._log(f"receiver: {type(error).__name__}: {error}")
                time.sleep(_LONGEST_WAIT)  # Not a busy loop, if it happens again and again.

    def _serve(self, context: Any) -> None:
        """Receive until the subscriptions change."""
        self._changed = False
        subscriptions = self._subscriptions
        with contextlib.ExitStack() as held:  # What is held is not destroyed in the meantime.
            held.enter_context(context.handle)
            wait_set = rclpy_implementation.WaitSet(
                len(subscriptions), 1, 0, 0, 0, 0, context.handle
            )
            for handle in (wait_set, self._guard.handle, *(s.handle for s in subscriptions)):
                held.enter_context(handle)
            events = self._events_of(subscriptions, context, held)
            checked = time.monotonic()
            while not self._changed and not self._ended and context.ok():
                wait_set.clear_entities()
                for subscription in subscriptions:
                    wait_set.add_subscription(subscription.handle)
                wait_set.add_guard_condition(self._guard.handle)
                wait_set.wait(round(_LONGEST_WAIT * SECOND))
                ready = set(wait_set.get_ready_entities("subscription"))
                if ready:
                    self._turn([s for s in subscriptions if s.handle.pointer in ready])
                if events[1] and time.monotonic() - checked > _EVENT_PERIOD:
                    checked = time.monotonic()
                    self._call_events(*events)

    def _events_of(
        self, subscriptions: list[Any], context: Any, held: contextlib.ExitStack
    ) -> tuple[Any, list[Any]]:
        """A wait set for the QoS events of these subscriptions, and their handlers."""
        handlers = [handler for s in subscriptions for handler in s.event_handlers]
        wait_set = rclpy_implementation.WaitSet(0, 0, 0, 0, 0, len(handlers), context.handle)
        for entity in (wait_set, *handlers):
            held.enter_context(entity)
        return wait_set, handlers

    def _call_events(self, wait_set: Any, handlers: list[Any]) -> None:
        wait_set.clear_entities()
        for handler in handlers:
            handler.add_to_wait_set(wait_set)
        wait_set.wait(0)
        for handler in handlers:
            if handler.is_ready(wait_set):
                handler.callback(handler.take_data())

    def _turn(self, ready: list[Any]) -> None:
        begun, received = time.monotonic(), []
        # The time is taken last, because it must not be older than the measurements.
        for subscription in sorted(ready, key=_is_clock):
            received += self._take(subscription)
        received.sort(key=lambda item: (not _is_clock(item[0]), item[2].received))
        for subscription, message, info in received:
            self._call(subscription, message, info)
            if time.monotonic() - begun > _LONGEST_TURN:
                self._after_turn()
                begun = time.monotonic()
        self._after_turn()

    def _take(self, subscription: Any) -> list[tuple[Any, Any, MessageInfo]]:
        taken: list[tuple[Any, int, int | None]] = []
        while len(taken) < _LARGEST_TURN:
            try:
                message = subscription.handle.take_message(subscription.msg_type, False)
            except Exception as error:  # For instance a string that is not UTF-8.
                self._log(f"{subscription.topic}: {type(error).__name__}: {error}")
                break
            if message is None:
                break
            received, number = map(message[1].get, _INFO)
            taken.append((message[0], received or 0, number))
        last = len(taken) - 1
        return [
            (subscription, message, MessageInfo(received, number, index == last))
            for index, (message, received, number) in enumerate(taken)
        ]

    def _call(self, subscription: Any, message: Any, info: MessageInfo) -> None:
        try:
            if subscription._callback_type is subscription.CallbackType.WithMessageInfo:
                subscription.callback(message, info)
            else:
                with self._lock:
                    subscription.callback(message)
        except Exception as error:
            self._log(f"{subscription.topic}: {type(error).__name__}: {error}")


def _is_clock(subscription: Any) -> bool:
    return bool(subscription.topic == "/clock")
