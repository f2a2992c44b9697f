"""The controller as a managed ROS 2 node: messages in, events, commands out by a back-end.

One thread does it all, in the order in which messages come: MultiThreadedExecutor loses IMU
messages, and a controller that two threads enter is no longer deterministic.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import qos_policy_name_from_kind as policy_name

from liquid_nav.command import Command, Mode
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import SECOND, Event, Odometry, OperatorStop
from liquid_nav.onboard import Policy, PolicyCamera, load_policy
from liquid_nav.recording.settings import Reconfigured
from liquid_nav.ros.backends import Backend, make_backend
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import TOPIC, WARN, Monitor, Status, message
from liquid_nav.ros.controller.liquid_state import LiquidStatePublisher
from liquid_nav.ros.controller.parameters import (
    IN_FLIGHT,
    SPECS,
    Settings,
    backend_of,
    declare,
    objection,
    read,
)
from liquid_nav.ros.controller.recorders import Recorder, make_recorders
from liquid_nav.ros.controller.sensors import Sensors
from liquid_nav.ros.supervisor import HEARTBEAT_PERIOD, HEARTBEAT_TYPE, heartbeat

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE

_PATIENCE_FOR_FILES = 4.0
"""s that the end of the node waits for what is being recorded; launch kills after 10."""


@dataclass
class Flight:
    """What a configured node holds, made together and let go together."""

    settings: Settings
    policy: Policy
    controller: Controller
    backend: Backend
    sensors: Sensors
    liquid_state: LiquidStatePublisher
    monitor: Monitor
    recorders: list[Recorder]


class ControllerNode(LifecycleNode):  # type: ignore[misc, unused-ignore]
    """`liquid_nav_node`.

    Configured it holds the model, the controller and the back-end; active it listens to sensors
    and commands. Clocks: events are on the node's, which may be simulated and may jump; timers run
    on a steady one, so that they fire whatever that does.

    Args:
        options: of `rclpy.lifecycle.LifecycleNode`, for tests: context, namespace, overrides.

    Raises:
        ConfigError: if the parameter `autostart` is set and the node cannot be configured.

    """

    def __init__(self, **options: Any) -> None:
        # What publishers report before `on_configure` goes nowhere else.
        self._qos: dict[str, str] = {}
        self._publishers_made: list[Any] = []
        super().__init__("liquid_nav_node", **options)
        declare(self, SPECS)
        self.add_on_set_parameters_callback(self._may_set)
        self.add_post_set_parameters_callback(self._was_set)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._flight: Flight | None = None
        self._pose: Odometry | None = None
        self._active = False
        self._timers_made: list[Any] = []
        self._stopped = False
        self._why_not = ""
        self._sent = 0.0
        self._reported = time.monotonic()
        self._reports = self.create_publisher(
            message_class("diagnostic_msgs/msg/DiagnosticArray"), TOPIC, 10
        )
        self._beats = self.create_publisher(message_class(HEARTBEAT_TYPE), "~/heartbeat", 1)
        self.create_service(message_class("std_srvs/srv/SetBool"), "~/stop", self._on_stop)
        self.create_timer(1.0, self._report, clock=self._steady)
        if self.get_parameter("autostart").value:
            if self.trigger_configure() != SUCCESS:
                raise ConfigError(self._why_not)
            self.trigger_activate()

    # Lifecycle. Exceptions here would put the node into its error state without a word.

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Load the model, build controller and back-end; fails, saying why, and changes nothing."""
        try:
            settings = Settings.of(read(self, SPECS))
            policy, manifest = load_policy(settings.bundle, settings.values["model_sha256"])
            camera = policy.config.camera or PolicyCamera()
            controller = Controller(policy, settings.safety)
            monitor = Monitor(qos=self._qos)
            sensors = Sensors(self, settings, camera, monitor, self._now, self._enter, self._on_qos)
            name, options = backend_of(settings.values)
            backend = make_backend(name, self, **options)
        except LiquidNavError as error:
            self._why_not = str(error)
            self.get_logger().error(f"cannot configure: {error}")
            return FAILURE
        liquid_state = LiquidStatePublisher(self, settings.values["liquid_state_rate"])
        recorders = make_recorders(self, settings.values, camera)
        self._flight = Flight(
            settings, policy, controller, backend, sensors, liquid_state, monitor, recorders
        )
        self.get_logger().info(f"configured: task {manifest.task}, commands by {name}")
        return SUCCESS

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Start afresh, and listen."""
        flight = self._flight
        assert flight is not None
        flight.controller.reset()
        for recorder in flight.recorders:
            recorder.start(flight.settings.safety)
        self._pose = None
        self._active = True
        if self._stopped:
            self._enter_stop(True)
        flight.sensors.listen()
        self._timers_made = [
            self.create_timer(self._patience(flight), self._on_timer, clock=self._steady),
            self.create_timer(HEARTBEAT_PERIOD, self._beat, clock=self._steady),
        ]
        return SUCCESS

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """Send a zero command and stop listening."""
        self._rest("deactivated")
        return SUCCESS

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        """Let go of model, controller and back-end."""
        self._release()
        return SUCCESS

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        """As `on_deactivate` and `on_cleanup`, from any state."""
        self._rest("shut down")
        self._release()
        return SUCCESS

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        """Send a zero command, and return to the state before configuration."""
        return self.on_shutdown(state)

    def close(self) -> None:
        """End in order, with a zero command when active; for a signal, before the context ends."""
        self._rest("node ends")
        self._release()
        self.destroy_node()
        # rclpy leaves this one, and with it the node stays in the graph until its lease is over.
        self._state_machine.destroy_when_not_in_use()

    def create_publisher(self, *args: Any, **options: Any) -> Any:
        """As the base class; a reader of incompatible QoS is reported, back-ends' included."""
        topic = options.get("topic", args[1] if len(args) > 1 else "")
        options.setdefault(
            "event_callbacks",
            PublisherEventCallbacks(incompatible_qos=lambda info: self._on_qos(topic, info)),
        )
        publisher = super().create_publisher(*args, **options)
        self._publishers_made.append(publisher)
        return publisher

    def destroy_publisher(self, publisher: Any) -> bool:
        """As the base class."""
        if publisher in self._publishers_made:
            self._publishers_made.remove(publisher)
        return bool(super().destroy_publisher(publisher))

    # From events to commands.

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _enter(self, event: Event) -> None:
        """Let an event into the controller, and the command that it makes out."""
        flight = self._flight
        assert flight is not None
        counters = flight.controller.health.channels[event.channel]
        before = counters.rejected
        for recorder in flight.recorders:
            recorder.add(event)
        flight.controller.on_event(event)
        if counters.rejected > before:
            flight.monitor.intakes[event.channel].reject(counters.last_rejection)
        elif isinstance(event, Odometry) and event.stamp == counters.stamp:
            self._pose = event  # The newest, and not one that was late.
        self._send(flight, event.arrival)
        flight.liquid_state.offer(flight.policy, flight.controller.memory, event)

    def _enter_stop(self, engaged: bool) -> None:
        now = self._now()
        self._enter(OperatorStop(now, now, engaged))

    def _send(self, flight: Flight, now: int) -> None:
        command = flight.controller.command(now)
        flight.backend.send(command, self._pose, self._fresh(flight, now))
        for recorder in flight.recorders:
            recorder.add(command)
        self._sent = time.monotonic()

    @staticmethod
    def _patience(flight: Flight) -> float:
        """Seconds without a command after which the timer, which is as slow, sends one.

        Half the longest gap allowed: no timer fires right after a command was sent.
        """
        return 0.5 / float(flight.settings.values["minimum_rate"])

    def _fresh(self, flight: Flight, now: int) -> bool:
        """Whether the policy still takes in all that it needs."""
        staleness, channels = flight.settings.safety.staleness, flight.controller.health.channels
        return all(
            stamp is not None and abs(now - stamp) <= staleness[channel].hover * SECOND
            for channel, stamp in ((c, channels[c].stamp) for c in flight.policy.channels)
        )

    def _on_timer(self) -> None:
        # A failsafe is sent with nothing fresh too: it is the answer to that. A nominal command is
        # not, see `Backend.send`.
        flight = self._flight
        if flight is not None and time.monotonic() - self._sent >= self._patience(flight):
            self._send(flight, self._now())

    def _on_stop(self, request: Any, response: Any) -> Any:
        """Engage or release the operator's stop, in any state; it outlives restarts."""
        self._stopped = bool(request.data)
        if self._active:
            self._enter_stop(self._stopped)
        response.success = True
        response.message = "stopped" if self._stopped else "released"
        self.get_logger().warning(f"operator stop: {response.message}")
        return response

    def _rest(self, why: str) -> None:
        """When active: send a zero command, tell the supervisor, stop listening."""
        flight = self._flight
        if not self._active or flight is None:
            return
        now = self._now()
        flight.sensors.close()
        for timer in self._timers_made:
            self.destroy_timer(timer)
        self._timers_made = []
        command = Command(now, mode=Mode.HOVER, reason=why)
        flight.backend.send(command, self._pose, self._fresh(flight, now))
        for recorder in flight.recorders:
            recorder.end(command)
        self._active = False
        self._beats.publish(heartbeat(False))
        for publisher in self._publishers_made:
            # Without this a process that ends at once takes its last words with it.
            publisher.wait_for_all_acked(Duration(seconds=0.1))

    def _release(self) -> None:
        if self._flight is not None:
            self._flight.liquid_state.close()
            self._flight.backend.close()
            for recorder in self._flight.recorders:
                recorder.wait(_PATIENCE_FOR_FILES / len(self._flight.recorders))
            self._flight = None

    # Parameters and diagnostics.

    def _may_set(self, changed: Iterable[Any]) -> Any:
        why = objection(self, changed, self._flight is not None)
        kind = message_class("rcl_interfaces/msg/SetParametersResult")
        return kind(successful=not why, reason=why)

    def _was_set(self, changed: Iterable[Any]) -> None:
        flight = self._flight
        if flight is None or not any(p.name.startswith(IN_FLIGHT) for p in changed):
            return
        settings = Settings.of(read(self, SPECS))
        if settings.safety != flight.settings.safety:
            now = self._now()
            if self._active:
                for recorder in flight.recorders:
                    recorder.add(Reconfigured(now, settings.safety))
            flight.controller.reconfigure(settings.safety, now)
        flight.settings = settings
        if self._active:
            self._timers_made[0].timer_period_ns = round(SECOND * self._patience(flight))

    def _on_qos(self, topic: str, info: Any) -> None:
        policy = policy_name(info.last_policy_kind)
        self._qos[topic] = f"{policy}, {info.total_count} endpoints"
        self.get_logger().warning(f"incompatible QoS on {topic}: {policy}; no messages will pass")

    def _beat(self) -> None:
        self._beats.publish(heartbeat(True))

    def _report(self) -> None:
        elapsed, self._reported = time.monotonic() - self._reported, time.monotonic()
        now, flight = self._now(), self._flight
        if self._active and flight is not None:
            command = flight.controller.command(now)
            figures = {
                "mode": command.mode.value,
                "reason": command.reason,
                "fresh": str(self._fresh(flight, now)).lower(),
                "operator_stop": str(self._stopped).lower(),
            }
            health, fault = flight.controller.health, flight.backend.fault
            statuses = flight.monitor.statuses(health, now, elapsed, fault, figures)
            guarded = self._beats.get_subscription_count() > 0
            words = "OK" if guarded else "none listens to the heartbeat"
            statuses.append(Status(0 if guarded else WARN, "supervisor", words, {}))
            statuses += [recorder.status() for recorder in flight.recorders]
        else:
            statuses = [Status(WARN, "controller", "not active", {})]
        self._reports.publish(message(self.get_fully_qualified_name(), now, statuses))
