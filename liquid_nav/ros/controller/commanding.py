"""The part of the controller node between an event and the command that follows from it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from liquid_nav.command import Command, Mode
from liquid_nav.events import SECOND, Channel, Event, Odometry, OperatorStop
from liquid_nav.ros.controller.clock import ClockWatch
from liquid_nav.ros.controller.diagnostics.status import StatusPublisher
from liquid_nav.ros.controller.endpoints import EndpointNode
from liquid_nav.ros.controller.entry import SmoothEntry
from liquid_nav.ros.controller.flight import Flight

_POSE_TIMEOUT = 2.0
"""s that a back-end which starts at the pose of the vehicle waits for a publisher of odometry."""


class CommandingNode(EndpointNode):
    """Enters events into the controller, and gives its commands to the back-end.

    Either thread may do so, one at a time: the lock is held meanwhile. A subclass makes the flight,
    and begins and ends it.

    Args:
        name: of the node.
        options: of `rclpy.lifecycle.LifecycleNode`.

    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._flight: Flight | None = None
        self._active = False
        self._stopped = False  # By the operator.
        self._command = Command(0, mode=Mode.HOVER)  # The last one of this flight.
        self._sent_at = self._timed_at = time.monotonic()
        self._status = StatusPublisher(self)
        self._forget()

    def _forget(self) -> None:
        """Forget the events and commands of the last flight; the operator's stop stays."""
        self._pose: Odometry | None = None
        self._entered: int | None = None  # Arrival of the last event, if it is unanswered.
        self._stop_pending = self._stopped  # Whether the controller has yet to learn of that.
        self._clock_watch, self._smooth_entry = ClockWatch(), SmoothEntry()
        # On the steady clock, s, as are `_sent_at` and `_timed_at`: the latter is when the thread
        # of the executor last told the controller the time.
        self._activated_at = time.monotonic()

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _time(self) -> int:
        """Now, for the thread of the executor; events that were taken up before arrive later."""
        self._timed_at = time.monotonic()
        return self._now()

    def _on_event(self, event: Event, taken_up: float) -> None:
        """Enter an event of the sensors, whose message was taken up then, s on the steady clock."""
        with self._lock:
            flight = self._flight
            if flight is None or not self._active:
                return
            self._tell_stop()
            if self._timed_at > taken_up:
                # While the message was decoded the controller was told a later time.
                event = replace(event, arrival=max(event.arrival, self._now()))
            self._enter(flight, event)

    def _answer(self) -> None:
        """Answer the events of the receiver's last turn."""
        flight = self._flight
        if flight is not None:
            flight.sensors.answer()

    def _answer_events(self) -> None:
        with self._lock:
            if self._flight is not None and self._active and self._entered is not None:
                self._send(self._flight, self._entered)
                # Where cores are busy the timer of the heartbeat may wait, and this thread not.
                self._send_heartbeat()

    def _send_heartbeat(self) -> None:
        """Tell the supervisor that the controller is alive, if it is time for that."""
        raise NotImplementedError

    # What follows, down to `_fresh`, is called by one who holds the lock.

    def _tell_stop(self) -> None:
        """Tell the controller of the operator's stop, if it does not know yet."""
        flight = self._flight
        if flight is None or not self._active or not self._stop_pending:
            return
        self._stop_pending, now = False, self._time()
        if not self._stopped:
            flight.backend.release()
        self._enter(flight, OperatorStop(now, now, self._stopped))
        self._send(flight, now)

    def _enter(self, flight: Flight, event: Event) -> None:
        """Give an event to the controller; the command that follows from it is still to be sent."""
        counters = flight.controller.health.channels[event.channel]
        before = counters.rejected
        for recorder in flight.recorders:
            recorder.add(event)
        flight.controller.on_event(event)
        if counters.rejected > before:
            flight.monitor.counts[event.channel].reject(counters.last_rejection)
        elif isinstance(event, Odometry) and event.stamp == counters.stamp:
            self._pose = event  # The newest one: not one that came late.
        self._entered = event.arrival
        flight.liquid_state.offer(flight.policy, flight.controller.memory, event)

    def _command_at(self, flight: Flight, now: int) -> tuple[Command, bool]:
        """The command at `now`, and whether inference is fresh."""
        command, clock_fault = flight.controller.command(now), self._clock_watch.fault(now)
        fresh = not clock_fault and self._fresh(flight, now)
        held = flight.backend.held
        if command.mode is Mode.NOMINAL and (held or not fresh):
            reason = held or clock_fault or "policy: inference is not fresh"
            command = Command(now, mode=Mode.HOVER, reason=reason)
        return command, fresh

    def _send(self, flight: Flight, now: int) -> None:
        self._entered = None
        (command, fresh), backend = self._command_at(flight, now), flight.backend
        if not backend.active:
            self._activate_backend(flight, now)
        command = self._command = self._smooth_entry.command(
            command, self._fresh_pose(flight, now), backend.engaged, flight.parameters.safety.limits
        )
        fault = backend.fault
        backend.command(command, self._pose, fresh)
        for recorder in flight.recorders:
            recorder.add(command)
        self._status.offer(command)
        self._sent_at = time.monotonic()
        if backend.fault and backend.fault != fault:
            self.get_logger().warning(
                f"back-end {backend.name}: {backend.fault}", throttle_duration_sec=1.0
            )

    def _activate_backend(self, flight: Flight, now: int) -> None:
        """Activate the back-end where the vehicle is.

        An activated node has no odometry yet: a back-end that starts at the pose of the vehicle
        waits for the first, if there is a topic for it, and not longer than `_POSE_TIMEOUT` for
        somebody to publish on it.
        """
        values, pose = flight.parameters.values, self._fresh_pose(flight, now)
        topic = values["topics.odometry"]
        may_come = bool(topic) and (
            time.monotonic() - self._activated_at < _POSE_TIMEOUT
            or self.count_publishers(self.resolve_topic_name(topic)) > 0
        )
        if pose is not None or not (flight.backend.starts_at_pose and may_come):
            flight.backend.activate(pose)

    def _fresh_pose(self, flight: Flight, now: int) -> Odometry | None:
        """The newest odometry, unless it is stale."""
        ages = flight.parameters.safety.staleness[Channel.ODOMETRY]
        pose = self._pose
        return pose if pose is not None and pose.stamp >= now - ages.hover * SECOND else None

    @staticmethod
    def _timer_period(flight: Flight) -> float:
        """Period of the timer that sends a command when none was sent for as long, in s.

        It is half the longest gap allowed, so that the timer does not fire right after a command.
        """
        return 0.5 / float(flight.parameters.values["minimum_rate"])

    def _fresh(self, flight: Flight, now: int) -> bool:
        """Whether the policy still receives everything that it needs, and still answers to it."""
        staleness, health = flight.parameters.safety.staleness, flight.controller.health
        if health.unfit or health.inferred is None:
            return False
        for channel in flight.policy.needed:
            stamp = health.channels[channel].stamp
            ages = staleness.get(channel) or flight.policy.staleness[channel]
            if stamp is None:
                return False
            if ages is None:  # A goal is valid for ever, and so is what was inferred from it.
                continue
            oldest = now - round(ages.hover * SECOND)
            if stamp < oldest or health.inferred < oldest or stamp > 2 * now - oldest:
                return False
        return True
