"""The controller as a managed ROS 2 node: messages in, events, commands out by a back-end.

One thread does it all, in the order in which messages come: MultiThreadedExecutor loses IMU
messages, and a controller that two threads enter is no longer deterministic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos import qos_policy_name_from_kind as policy_name

from liquid_nav.command import Command, Mode
from liquid_nav.controller import Controller
from liquid_nav.errors import LiquidNavError
from liquid_nav.events import SECOND, Channel, Event, Odometry, OperatorStop
from liquid_nav.policy import Policy, load_policy
from liquid_nav.ros import messages
from liquid_nav.ros.backends import Backend, make_backend
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.camera import CameraAdapter
from liquid_nav.ros.diagnostics import TOPIC, WARN, Monitor, Status, message
from liquid_nav.ros.parameters import (
    IN_FLIGHT,
    SPECS,
    Settings,
    backend_of,
    declare,
    objection,
    read,
)
from liquid_nav.ros.supervisor import HEARTBEAT_PERIOD, HEARTBEAT_TYPE, heartbeat, run

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE

BACKWARD_JUMP = SECOND
"""ns by which the clock must go back for it to be another time and not a correction."""

_DEPTH = {Channel.IMU: 50, Channel.CAMERA: 2}


class ControllerNode(LifecycleNode):  # type: ignore[misc, unused-ignore]
    """`liquid_nav_node`.

    Configured it holds the model, the controller and the back-end; active it listens to sensors
    and commands. Clocks: events are on the node's, which may be simulated and may jump; timers run
    on a steady one, so that they fire whatever that does.

    Args:
        options: of `rclpy.lifecycle.LifecycleNode`, for tests: context, namespace, overrides.

    """

    def __init__(self, **options: Any) -> None:
        # What publishers report before `on_configure` goes nowhere else.
        self._monitor = Monitor()
        self._publishers_made: list[Any] = []
        super().__init__("liquid_nav_node", **options)
        declare(self, SPECS)
        self.add_on_set_parameters_callback(self._may_set)
        self.add_post_set_parameters_callback(self._was_set)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._settings: Settings | None = None
        self._policy: Policy
        self._controller: Controller
        self._backend: Backend
        self._adapter: CameraAdapter | None = None
        self._pose: Odometry | None = None
        self._sensors: list[Any] = []
        self._timers_made: list[Any] = []
        self._active = False
        self._stopped = False
        self._now = 0
        self._reported = time.monotonic()
        self._reports = self.create_publisher(
            message_class("diagnostic_msgs/msg/DiagnosticArray"), TOPIC, 10
        )
        self._beats = self.create_publisher(message_class(HEARTBEAT_TYPE), "~/heartbeat", 1)
        self.create_service(message_class("std_srvs/srv/SetBool"), "~/stop", self._on_stop)
        self.create_timer(1.0, self._report, clock=self._steady)

    # Lifecycle. Exceptions here would put the node into its error state without a word.

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Load the model, build controller and back-end; fails, saying why, and changes nothing."""
        try:
            settings = Settings.of(read(self, SPECS))
            policy, manifest = load_policy(settings.bundle)
            controller = Controller(policy, settings.safety)
            name, options = backend_of(settings.values)
            backend = make_backend(name, self, **options)
        except LiquidNavError as error:
            self.get_logger().error(f"cannot configure: {error}")
            return FAILURE
        self._monitor = Monitor()
        self._settings, self._policy = settings, policy
        self._controller, self._backend = controller, backend
        calibrates = settings.values["use_camera_info"]
        self._adapter = None if calibrates else CameraAdapter(policy.config.camera)
        self.get_logger().info(f"configured: task {manifest.task}, commands by {name}")
        return SUCCESS

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Start afresh, and listen."""
        settings = self._settings
        assert settings is not None
        self._now = self._clock_now()
        self._active = True
        self._restart()
        self._listen(settings)
        period = 1 / settings.values["minimum_rate"]
        self._timers_made = [
            self.create_timer(period, self._on_timer, clock=self._steady),
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

    # From messages to commands.

    def _listen(self, settings: Settings) -> None:
        values = settings.values
        frame = values["world_frame"] or None
        image = "CompressedImage" if values["image_transport"] == "compressed" else "Image"
        sources: list[tuple[Channel, str, str, Callable[[Any, int], Event | None]]] = [
            (Channel.CAMERA, f"sensor_msgs/msg/{image}", settings.image_topic, self._frame),
            (
                Channel.IMU,
                "sensor_msgs/msg/Imu",
                values["topics.imu"],
                lambda imu, now: messages.imu_sample(imu, now, settings.imu_rotation),
            ),
            (
                Channel.GOAL,
                "geometry_msgs/msg/PoseStamped",
                values["topics.goal"],
                lambda pose, now: messages.goal(pose, now, frame),
            ),
            (
                Channel.ODOMETRY,
                "nav_msgs/msg/Odometry",
                values["topics.odometry"],
                messages.odometry,
            ),
        ]
        if values["use_camera_info"]:
            info = "sensor_msgs/msg/CameraInfo"
            sources.append((Channel.CAMERA, info, values["topics.camera_info"], self._calibrate))
        for channel, kind, topic, convert in sources:
            if topic:
                self._sensors.append(self._subscribe(channel, kind, topic, convert))

    def _subscribe(
        self, channel: Channel, kind: str, topic: str, convert: Callable[[Any, int], Event | None]
    ) -> Any:
        intake = self._monitor.intakes[channel]

        def count_loss(info: Any) -> None:
            intake.lost = info.total_count

        reliability = self.get_parameter("sensor_reliability").value.upper()
        return self.create_subscription(
            message_class(kind),
            topic,
            lambda received: self._on_message(channel, convert, received),
            QoSProfile(depth=_DEPTH.get(channel, 5), reliability=ReliabilityPolicy[reliability]),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=lambda info: self._on_qos(topic, info), message_lost=count_loss
            ),
        )

    def _frame(self, image: Any, now: int) -> Event:
        if self._adapter is None:
            raise messages.MessageError("no camera_info has come yet, see use_camera_info")
        return messages.camera_frame(image, now, self._adapter)

    def _calibrate(self, info: Any, now: int) -> None:
        if self._adapter is None:
            self._adapter = CameraAdapter(self._policy.config.camera, info)
            self.get_logger().info(f"camera covers {self._adapter.covers:.0%} of the model's view")

    def _on_message(
        self, channel: Channel, convert: Callable[[Any, int], Event | None], received: Any
    ) -> None:
        start = time.perf_counter_ns()
        if not self._active:  # What was already waiting when the node was deactivated.
            return
        now = self._clock_now()
        intake = self._monitor.intakes[channel]
        try:
            event = convert(received, now)
        except LiquidNavError as error:
            intake.received += 1
            intake.reject(str(error))
            return
        except Exception as error:  # No message, however odd, ends a flight.
            intake.received += 1
            intake.reject(f"{type(error).__name__}: {error}")
            return
        if event is None:
            return
        intake.received += 1
        self._enter(event)
        self._monitor.latencies.append(time.perf_counter_ns() - start)

    def _enter(self, event: Event) -> None:
        """Let an event into the controller, and the command that it makes out."""
        counters = self._controller.health.channels[event.channel]
        before = counters.rejected
        self._controller.on_event(event)
        if counters.rejected > before:
            self._monitor.intakes[event.channel].reject(counters.last_rejection)
        elif isinstance(event, Odometry) and event.stamp == counters.stamp:
            self._pose = event  # The newest, and not one that was late.
        self._send(event.arrival)

    def _send(self, now: int) -> None:
        self._backend.send(self._controller.command(now), self._pose, self._fresh(now))

    def _fresh(self, now: int) -> bool:
        """Whether the policy still takes in all that it needs."""
        assert self._settings is not None
        staleness, channels = self._settings.safety.staleness, self._controller.health.channels
        stamps = [(channel, channels[channel].stamp) for channel in self._policy.channels]
        return all(
            stamp is not None and now - stamp <= staleness[channel].hover * SECOND
            for channel, stamp in stamps
        )

    def _on_timer(self) -> None:
        # A failsafe is sent with nothing fresh too: it is the answer to that. A nominal command is
        # not, see `Backend.send`.
        self._send(self._clock_now())

    def _on_stop(self, request: Any, response: Any) -> Any:
        """Engage or release the operator's stop, in any state; it outlives restarts."""
        self._stopped = bool(request.data)
        if self._active:
            now = self._clock_now()
            self._enter(OperatorStop(now, now, self._stopped))
        response.success = True
        response.message = "stopped" if self._stopped else "released"
        self.get_logger().warning(f"operator stop: {response.message}")
        return response

    # Time, restarts and ends.

    def _clock_now(self) -> int:
        """Read the node's clock, ns; when it jumped back, everything before it is forgotten."""
        now = int(self.get_clock().now().nanoseconds)
        jump, self._now = self._now - now, now
        if jump > BACKWARD_JUMP and self._active:
            self._monitor.clock_resets += 1
            self.get_logger().warning(f"clock went back by {jump / SECOND:.3f} s: starting afresh")
            self._restart()
        return now

    def _restart(self) -> None:
        """Back to the state before the first event; only the operator's stop stays."""
        self._controller.reset()
        self._pose = None
        if self._stopped:
            self._controller.on_event(OperatorStop(self._now, self._now, True))

    def _rest(self, why: str) -> None:
        """When active: send a zero command, tell the supervisor, stop listening."""
        if not self._active:
            return
        now = self._clock_now()
        self._backend.send(Command(now, mode=Mode.HOVER, reason=why), self._pose, self._fresh(now))
        self._active = False
        self._beats.publish(heartbeat(False))
        for publisher in self._publishers_made:
            # Without this a process that ends at once takes its last words with it.
            publisher.wait_for_all_acked(Duration(seconds=0.1))
        for timer in self._timers_made:
            self.destroy_timer(timer)
        for sensor in self._sensors:
            self.destroy_subscription(sensor)
        self._timers_made, self._sensors = [], []

    def _release(self) -> None:
        if self._settings is not None:
            self._backend.close()
            self._settings = None
            del self._controller, self._policy, self._backend

    # Parameters and diagnostics.

    def _may_set(self, changed: Iterable[Any]) -> Any:
        why = objection(self, changed, self._settings is not None)
        kind = message_class("rcl_interfaces/msg/SetParametersResult")
        return kind(successful=not why, reason=why)

    def _was_set(self, changed: Iterable[Any]) -> None:
        if self._settings is None or not any(p.name.startswith(IN_FLIGHT) for p in changed):
            return
        settings = Settings.of(read(self, SPECS))
        if settings.safety != self._settings.safety:
            # The policy stays; its memory and the safety layer start afresh, hovering until each
            # channel has spoken again.
            self._controller = Controller(self._policy, settings.safety)
            self._restart()
        self._settings = settings
        if self._active:
            self._timers_made[0].timer_period_ns = round(SECOND / settings.values["minimum_rate"])

    def _on_qos(self, topic: str, info: Any) -> None:
        policy = policy_name(info.last_policy_kind)
        self._monitor.qos[topic] = f"{policy}, {info.total_count} endpoints"
        self.get_logger().warning(f"incompatible QoS on {topic}: {policy}; no messages will pass")

    def _beat(self) -> None:
        self._beats.publish(heartbeat(True))

    def _report(self) -> None:
        elapsed, self._reported = time.monotonic() - self._reported, time.monotonic()
        now = self._clock_now()
        if self._active:
            command = self._controller.command(now)
            figures = {
                "mode": command.mode.value,
                "reason": command.reason,
                "fresh": str(self._fresh(now)).lower(),
                "operator_stop": str(self._stopped).lower(),
            }
            health, fault = self._controller.health, self._backend.fault
            statuses = self._monitor.statuses(health, now, elapsed, fault, figures)
        else:
            statuses = [Status(WARN, "controller", "not active", {})]
        self._reports.publish(message(self.get_fully_qualified_name(), now, statuses))


def main() -> None:
    """Run `liquid_nav_node` until SIGINT or SIGTERM."""
    run(ControllerNode)


if __name__ == "__main__":
    main()
