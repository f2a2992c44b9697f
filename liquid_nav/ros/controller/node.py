"""The controller as a managed ROS 2 node: messages become events, a back-end sends the commands.

Two threads share the controller under one lock. One receives the measurements and enters their
events in the order in which they arrive. The other one, which spins the node's executor, serves all
that must not wait for measurements: the operator's stop, the lifecycle, parameters, heartbeats and
the command timer. So a flood of measurements, or a slow one, delays none of these, and the events
still enter in one order, which a recording keeps.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import TransitionCallbackReturn

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND
from liquid_nav.onboard import Policy
from liquid_nav.recording.settings import Reconfigured
from liquid_nav.ros.backends import backend_specs
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.commanding import CommandingNode
from liquid_nav.ros.controller.diagnostics import ERROR, TOPIC, WARN, Status, message
from liquid_nav.ros.controller.diagnostics.monitor import Monitor
from liquid_nav.ros.controller.diagnostics.topics import topics_status
from liquid_nav.ros.controller.endpoints import HANGS
from liquid_nav.ros.controller.flight import Flight, make_flight
from liquid_nav.ros.controller.lifecycle import SUCCESS
from liquid_nav.ros.controller.parameters import (
    IN_FLIGHT,
    SPECS,
    Parameters,
    channel_specs,
    objection,
)
from liquid_nav.ros.controller.sensors import Sensors
from liquid_nav.ros.controller.supervision import Supervision
from liquid_nav.ros.heartbeat import PERIOD, Heartbeat
from liquid_nav.ros.parameters import declare, read

_FILES_TIMEOUT = 4.0
"""s that the end of the node waits for files that are being recorded; launch kills after 10."""

_STOP_TIMEOUT = 1.0
"""s after which a stop is answered although the controller has not taken note of it."""

_SHORTEST_HEARTBEAT = 0.8 * PERIOD
"""s between two heartbeats: less than the period, so that a timer that is early sends one too."""

_DISCOVERY = 1.0
"""s before a start by itself in which another controller of this name may be discovered."""


class ControllerNode(CommandingNode):
    """`liquid_nav_node`.

    A configured node holds the model, the controller and the back-end; an active one subscribes to
    the sensors and sends commands. Events are on the node's clock, which may be simulated and may
    jump; timers run on a steady clock, so that they always fire.

    Args:
        options: of `rclpy.lifecycle.LifecycleNode`, for tests: context, namespace, overrides.

    Raises:
        ConfigError: if the parameter `autostart` is set and the node cannot be configured.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__("liquid_nav_node", **options)
        self._specs = (*SPECS, *channel_specs(), *backend_specs())
        declare(self, self._specs)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._after_set_parameters)
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._flight_timers: list[Any] = []
        self._heartbeat_at = 0.0  # When the last one was sent, s on the steady clock.
        self._diagnostics_publisher = self.create_publisher(
            message_class("diagnostic_msgs/msg/DiagnosticArray"), TOPIC, 10
        )
        self._status.lifecycle("unconfigured", "started")
        self._supervision = Supervision(self, self._yield_to, self._take_back)
        self.create_service(message_class("std_srvs/srv/SetBool"), "~/stop", self._on_stop)
        self.create_timer(1.0, self._report, clock=self._steady_clock)
        self._receiver.start(self.context)
        if self.get_parameter("autostart").value:
            self._start()

    # Lifecycle.

    def _start(self) -> None:
        """Configure and activate.

        Raises:
            ConfigError: if that fails, or another node of this name is active; the node is
                destroyed then.

        """
        configured = self.trigger_configure() == SUCCESS
        rival = self._supervision.await_rival(_DISCOVERY) if configured else ""
        if rival:
            self._failure = f"another controller of this name is active: {rival}"
        if not configured or rival or self.trigger_activate() != SUCCESS:
            self.close()
            raise ConfigError(self._failure)

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Load the model, make controller and back-end; on failure log why and change nothing."""
        result = self._transition("configure", self._configure)
        if result == SUCCESS:
            self._status.lifecycle("inactive", "configured")
        else:
            self._status.lifecycle("unconfigured", f"cannot configure: {self._failure}")
        return result

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Start the controller afresh, and subscribe to the sensors; on failure undo all of it.

        A node of the same name that is active already keeps the vehicle: this one stays inactive.
        """
        result = self._transition("activate", self._begin_flight)
        if result != SUCCESS:
            why = f"cannot activate: {self._failure}"
            self._end_flight(why)
            self._status.lifecycle("inactive", why)
        return result

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """Send a zero command and unsubscribe from the sensors."""
        self._end_flight("deactivated")
        return SUCCESS

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        """Close model, controller and back-end."""
        self._close_flight()
        self._status.lifecycle("unconfigured", "cleaned up")
        return SUCCESS

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        """As `on_deactivate` and `on_cleanup`, from any state."""
        self._end_flight("shut down")
        self._close_flight()
        self._status.lifecycle("finalized", "shut down")
        return SUCCESS

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        """Send a zero command, and return to the unconfigured state."""
        self._end_flight("error")
        self._close_flight()
        self._status.lifecycle("unconfigured", "error")
        return SUCCESS

    def close(self) -> None:
        """Destroy the node, after a zero command if it is active; the context must still be up."""
        self._end_flight("node ends")
        self._close_flight()
        self.destroy_node()

    def _configure(self) -> None:
        values = read(self, self._specs)
        self._flight = make_flight(self, values, self._qos_faults, self._make_sensors)

    def _make_sensors(self, parameters: Parameters, policy: Policy, monitor: Monitor) -> Sensors:
        return Sensors(
            self,
            self._receiver.group,
            parameters,
            policy,
            monitor,
            self._now,
            self._on_event,
            self._answer_events,
            self._on_qos_fault,
        )

    def _begin_flight(self) -> None:
        flight = self._flight
        assert flight is not None
        if rival := self._supervision.rival():
            raise ConfigError(f"another controller of this name is active: {rival}")
        self._active = True
        flight.controller.reset()
        flight.monitor.start(self._now())
        for recorder in flight.recorders:
            recorder.start(flight.parameters.safety)
        self._forget()
        with self._lock:
            self._tell_stop()
        flight.sensors.listen()
        self._flight_timers = [
            self.create_timer(self._timer_period(flight), self._on_timer, clock=self._steady_clock),
            self.create_timer(PERIOD, self._on_heartbeat, clock=self._steady_clock),
        ]
        self.get_logger().info(f"active: commands go to back-end {flight.backend.name}")

    def _end_flight(self, reason: str) -> None:
        """If active: send a zero command, tell the supervisor, unsubscribe from the sensors."""
        flight = self._flight
        if not self._active or flight is None:
            return
        with self._lock.within(HANGS):  # And without it, if the controller hangs.
            self._active, now, backend = False, self._now(), flight.backend
            command = Command(now, mode=Mode.HOVER, reason=reason)
            self._finish(
                reason,
                flight.sensors.close,
                *(partial(self.destroy_timer, timer) for timer in self._flight_timers),
                lambda: backend.command(command, self._pose, self._fresh(flight, now)),
                backend.deactivate,
                *(partial(recorder.end, command) for recorder in flight.recorders),
            )
        self._flight_timers = []
        self._status.lifecycle("inactive", reason)
        self._supervision.end()
        for publisher in self._all_publishers:
            # Without this a process that ends at once loses the last messages.
            publisher.wait_for_all_acked(Duration(seconds=0.1))
        self.get_logger().info(f"no longer active: {reason}")

    def _close_flight(self) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            timeout = _FILES_TIMEOUT / max(1, len(flight.recorders))
            self._finish(
                "clean up",
                flight.liquid_state.close,
                flight.backend.close,
                *(partial(recorder.wait, timeout) for recorder in flight.recorders),
            )

    # In the thread of the executor, which must not wait for a controller that hangs.

    def _on_timer(self) -> None:
        # A failsafe is sent although nothing is fresh: it is the answer to that. A nominal command
        # is not, see `Backend.command`.
        with self._lock.within(HANGS) as held:
            flight = self._flight
            if not held or flight is None or not self._active:
                return
            if time.monotonic() - self._sent_at >= self._timer_period(flight):
                self._send(flight, self._time())

    def _on_heartbeat(self) -> None:
        with self._lock.within(HANGS) as held:
            if held:
                self._send_heartbeat()
            else:
                self._log_error(f"the controller hangs: no answer for {HANGS:g} s")

    def _send_heartbeat(self) -> None:
        """Tell the supervisor that the controller is alive; called by one who holds the lock."""
        flight, now = self._flight, time.monotonic()
        if flight is not None and now - self._heartbeat_at >= _SHORTEST_HEARTBEAT:
            self._heartbeat_at = now
            landing_speed = flight.parameters.safety.landing_speed
            self._supervision.send(flight.backend, self._command, landing_speed)

    def _yield_to(self, rival: Heartbeat) -> None:
        """Leave the vehicle to another controller of this name, which began before this one."""
        flight = self._flight
        if not self._active or flight is None:
            return
        flight.sensors.close()
        with self._lock.within(HANGS):
            self._entered = None
            flight.backend.deactivate()  # No zero command in the midst of the other's commands.
        self._failure = f"another controller of this name is active: {rival.sender}"
        self.get_logger().error(f"deactivated: {self._failure}")
        self.trigger_deactivate()
        self._status.lifecycle("inactive", self._failure)

    def _take_back(self, supervisor: Heartbeat) -> None:
        """Take the vehicle over from the supervisor, with what that held.

        A stop by the operator, which outlived the controller that was told of it, goes on.
        """
        flight = self._flight
        if not self._active or flight is None:
            return
        with self._lock.within(HANGS) as held:
            if held and supervisor.backend == flight.backend.name:
                flight.backend.take_over(supervisor.handover)
        if supervisor.mode is Mode.STOP and not self._stopped:
            self.get_logger().warning("operator stop: the supervisor kept it, it is engaged again")
            self._stop(True)

    def _stop(self, engaged: bool) -> bool:
        """Engage or release the operator's stop; return whether the controller knows of it yet."""
        self._stopped, self._stop_pending = engaged, True
        with self._lock.within(_STOP_TIMEOUT) as held:
            if held:
                self._tell_stop()
        return held

    def _on_stop(self, request: Any, response: Any) -> Any:
        """Engage or release the operator's stop, in any state; it outlives restarts."""
        response.success = self._stop(bool(request.data))
        response.message = "stopped" if self._stopped else "released"
        if not response.success:
            response.message += " once the controller answers again: it hangs"
        self.get_logger().warning(f"operator stop: {response.message}")
        return response

    # Parameters and diagnostics.

    def _on_set_parameters(self, changed: Iterable[Any]) -> Any:
        backend = None if self._flight is None else self._flight.backend
        reason = objection(self._specs, read(self, self._specs), changed, backend)
        if self._active and any(parameter.name == "use_sim_time" for parameter in changed):
            reason = "use_sim_time cannot change in flight; deactivate the node first"
        kind = message_class("rcl_interfaces/msg/SetParametersResult")
        return kind(successful=not reason, reason=reason)

    def _after_set_parameters(self, changed: Iterable[Any]) -> None:
        flight = self._flight
        if flight is None or not any(p.name.startswith(IN_FLIGHT) for p in changed):
            return
        parameters = Parameters.of(read(self, self._specs))
        with self._lock:
            if parameters.safety != flight.parameters.safety:
                now = self._time()
                if self._active:
                    for recorder in flight.recorders:
                        recorder.add(Reconfigured(now, parameters.safety))
                flight.controller.reconfigure(parameters.safety, now)
            flight.parameters = parameters
        if self._active:
            self._flight_timers[0].timer_period_ns = round(SECOND * self._timer_period(flight))

    def _report(self) -> None:
        """Publish the diagnostics."""
        flight = self._flight
        if self._active and flight is not None:
            statuses = self._flight_statuses(flight)
        else:
            why = f": {self._failure}" if self._failure else ""
            statuses = [Status(WARN, "controller", f"not active{why}", {})]
        name = self.get_fully_qualified_name()
        self._diagnostics_publisher.publish(message(name, self._now(), statuses))

    def _flight_statuses(self, flight: Flight) -> list[Status]:
        backend, monitor, sensors = flight.backend, flight.monitor, flight.sensors
        sensors.match_publishers()
        with self._lock.within(HANGS) as held:
            if not held:
                return [Status(ERROR, "controller", "hangs: it does not answer", {})]
            now = self._now()
            command, fresh = self._command_at(flight, now)
            values = {
                "mode": command.mode.value,
                "reason": command.reason,
                "fresh": str(fresh).lower(),
                "operator_stop": str(self._stopped).lower(),
            }
            statuses = flight.statuses(now, values)
        for news in monitor.news:
            self.get_logger().warning(news)
        monitor.news.clear()
        streams = {
            channel
            for channel, expected in flight.expected().items()
            if expected.needed and expected.staleness is not None
        }
        heartbeat = self.resolve_topic_name("~/heartbeat")
        topics = topics_status(self, sensors.wanted(streams), backend.topics, heartbeat)
        return [*statuses, topics, self._supervision.status(backend)]
