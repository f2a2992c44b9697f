"""The simulator as a drone on ROS 2: it publishes sensors and /clock, and takes velocity commands.

A measurement is published when the simulated time reaches its arrival, right after a `/clock`
message of that time: a controller on simulated time sees each measurement with its simulated
latency.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import Enum
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import SECOND, Event
from liquid_nav.messages.decode import MessageError, stamp_of
from liquid_nav.ros.backends.base import LARGEST
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.parameters import check_topics, declare, read
from liquid_nav.ros.simulator.outputs import Outputs
from liquid_nav.ros.simulator.parameters import (
    AT_ANY_TIME,
    LOCK_STEP,
    SimulatorSettings,
    fault_of,
    specs_of,
)
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.world import Outcome, World

_LARGEST_LEAD = SECOND
"""Largest time, ns, by which the stamp of a command may be ahead of the flight. A stamp further
ahead comes from another clock: that of the previous flight, or one that is not /clock at all."""

_LONGEST_STRIDE = SECOND // 20
"""Longest time, ns, that a flight in lock-step flies on without a measurement before it waits for a
command."""

_LONGEST_WAIT = 1.0
"""Longest wait in lock-step, wall-clock seconds, for the rest of a controller: for a subscriber of
each sensor after the first command, or for a command once every sensor has a subscriber. Either may
never come."""

_LARGEST_LAG = 0.25
"""Largest lag of the world behind real time, wall-clock seconds; a larger one is dropped and not
caught up with."""

_LONGEST_SLICE = 0.003
"""Longest time, wall-clock seconds, that the world flies before callbacks of commands and services
run again."""


class Phase(Enum):
    """Phase of the flight: before its first step, under way, or ended."""

    WAITING = "waiting"
    FLYING = "flying"
    OVER = "over"


class SimulatorNode(Node):  # type: ignore[misc, unused-ignore]
    """The node `liquid_nav_sim_node`.

    The world flies inside the callbacks of one thread: of a steady timer in real time, of the
    command that answers the last measurement in lock-step.

    Args:
        options: keyword arguments of `rclpy.node.Node`, for tests: context, namespace, parameter
            overrides.

    Attributes:
        world: the simulator.
        refused: number of commands of this flight that were refused because they were not finite,
            too large, or had no valid stamp.
        unanswered: number of measurements of this flight that no command answered in time, in
            lock-step.
        overtaken: number of measurements of this flight, in lock-step, for which another command
            with the same stamp was taken for the answer; a controller's timer may send such a
            command. If this and `unanswered` are 0, the flight equals one with the controller in
            the same process.

    Raises:
        ConfigError: on parameters that contradict each other.
        SimulationError: if PyBullet cannot start.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__("liquid_nav_sim_node", **options)
        # The sensors that are fitted decide which parameters exist.
        given = getattr(self, "_parameter_overrides", {})
        self._specs = specs_of({name: parameter.value for name, parameter in given.items()})
        declare(self, self._specs)
        self._settings = SimulatorSettings.of(read(self, self._specs))
        values = self._settings.values
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        self._lock_step = values["pace"] == LOCK_STEP
        self.world = World(self._settings.world(), gui=values["gui"])
        self._flights = 0
        sensors = {f"sensor {name}": name for name in values["sensors"]}
        check_topics(self, {"the commands": "cmd_vel", "the clock": "/clock", **sensors})
        self._outputs = Outputs(self, self.world, values["odometry_rate"])
        twist = "TwistStamped" if values["stamped"] else "Twist"
        self._command_subscription = self.create_subscription(
            message_class(f"geometry_msgs/msg/{twist}"), "cmd_vel", self._on_command, 10
        )
        trigger = message_class("std_srvs/srv/Trigger")
        self.create_service(trigger, "~/reset", self._on_reset)
        self.create_service(trigger, "~/inject_fault", self._on_inject_fault)
        # Time at the end of the previous flight, ns.
        self._ended = 0
        self._begin_flight()
        period = 0.005 if self._lock_step else 0.002
        self.create_timer(period, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # Flights.

    def _begin_flight(self) -> None:
        """Reset the world to the start of the flight of the parameter `seed`."""
        self._seed: int = self._settings.values["seed"]
        self.world.reset(self._seed)
        self._phase = Phase.WAITING
        self.refused = self.unanswered = self.overtaken = 0
        # The last command that was taken as an answer, in lock-step.
        self._answer: Command | None = None
        self._logged: set[str] = set()
        # Wall-clock time of the first command of this flight, s.
        self._first_command_at: float | None = None
        self._subscribed_since: float | None = None
        self._commanded, self._hovering = 0, True
        self._awaited: int | None = None
        self._next_clock = 0
        self._outputs.begin()

    def _may_begin(self) -> bool:
        """Whether the flight may begin now; logs what it waits for."""
        clock = self._outputs.clock
        if not clock.settled:
            return False
        if obstacle := clock.obstacle():
            if self._is_first(obstacle):
                self.get_logger().error(f"no flight begins: {obstacle}")
            return False
        if not self._settings.values["wait_for_controller"]:
            return True
        if not self._has_controller():
            return self._wait_for("a controller")
        if not self._lock_step:
            return True
        now, subscribed = time.monotonic(), self._outputs.have_subscribers()
        if self._first_command_at is not None:
            return subscribed or now - self._first_command_at > _LONGEST_WAIT
        # A publisher can exist before its controller is active; the first command shows that it is.
        # A controller that only answers measurements sends none yet, but it subscribes to them.
        self._subscribed_since = (self._subscribed_since or now) if subscribed else None
        if self._subscribed_since is not None and now - self._subscribed_since > _LONGEST_WAIT:
            return True
        return self._wait_for("the first command")

    def _has_controller(self) -> bool:
        with self._command_subscription.handle:
            return bool(self._command_subscription.handle.get_publisher_count())

    def _take_off(self) -> None:
        self._phase = Phase.FLYING
        self._start_real_time()
        self.get_logger().info(f"flight of seed {self._seed} begins")
        if self._lock_step:
            self._fly_to_next_measurement()

    def _end_flight(self, outcome: Outcome) -> None:
        """Publish the outcome; then end the node, begin the next flight, or stand still."""
        self._phase = Phase.OVER
        self._flights += 1
        self._awaited, self._ended = None, self.world.time
        figures = {
            "seed": self._seed,
            "refused_commands": self.refused,
            "unanswered_measurements": self.unanswered,
            "overtaken_measurements": self.overtaken,
        }
        self._outputs.outcome.publish(self.world, figures)
        duration = self.world.time / SECOND
        self.get_logger().info(
            f"flight of seed {self._seed}: {outcome.value} after {duration:.2f} s"
        )
        values = self._settings.values
        if self._flights == values["episodes"]:
            self._outputs.outcome.flush()
            self.get_logger().info(f"all {self._flights} flights have been flown")
            self.context.try_shutdown()
        elif values["auto_reset"]:
            (set_,) = self.set_parameters([Parameter("seed", value=self._seed + 1)])
            if set_.successful:
                self._begin_flight()
            else:
                self.get_logger().error(f"cannot begin the next seed: {set_.reason}")

    # Time.

    def _on_timer(self) -> None:
        clock = self._outputs.clock
        if self._phase is Phase.FLYING and (obstacle := clock.obstacle()):
            self._warn(f"the time may leap to and fro: {obstacle}")
            if clock.young:
                self._begin_flight()  # The other one was here first.
        if self._phase is Phase.WAITING and self._may_begin():
            self._take_off()
        elif self._phase is not Phase.FLYING:
            self._outputs.repeat_time()
        elif self._lock_step:
            self._check_timeout()
        else:
            self._catch_up()

    def _start_real_time(self) -> None:
        """Count real time from now and from the world's present time."""
        self._origin = (time.monotonic(), self.world.time)

    def _catch_up(self) -> None:
        """Fly until the world has reached real time, or for one slice of wall-clock time."""
        begin, speed = time.monotonic(), self._settings.values["speed"]
        wall, origin = self._origin
        target = origin + round((begin - wall) * speed * SECOND)
        if target - self.world.time > _LARGEST_LAG * speed * SECOND:
            self._warn(f"cannot keep up with {speed:g} times real time: flying as fast as possible")
            self._start_real_time()
        while self.world.time + self.world.config.step <= target:
            event = self._advance()
            if event is not None:
                self._outputs.measurement(event)
                continue
            if self.world.time >= self._next_clock:
                self._next_clock += round(SECOND / self._settings.values["clock_rate"])
                self._outputs.time(self.world.time)
            self._outputs.publish_odometry()
            if self.world.outcome is not None:
                self._end_flight(self.world.outcome)
                return
            if time.monotonic() - begin > _LONGEST_SLICE:
                return

    def _fly_to_next_measurement(self) -> None:
        """Fly to the next measurement, publish it, and wait for a command."""
        self._awaited = None
        limit = self.world.time + _LONGEST_STRIDE
        while (event := self._advance()) is None:
            if self.world.outcome is not None:
                self._outputs.publish_odometry()
                self._end_flight(self.world.outcome)
                return
            if self.world.time >= limit:
                self._wait_for_answer(self.world.time)
                self._outputs.time(self.world.time)
                self._outputs.publish_odometry()
                return
        self._wait_for_answer(event.arrival)
        self._outputs.measurement(event)
        # After the measurement, so that a command which answers the odometry is not taken for the
        # answer to the measurement.
        self._outputs.publish_odometry()

    def _wait_for_answer(self, stamp: int) -> None:
        self._awaited, self._awaited_since = stamp, time.monotonic()

    def _check_timeout(self) -> None:
        """Repeat /clock while the world waits in lock-step, and fly on after the timeout."""
        if self._awaited is None:
            return
        self._outputs.repeat_time()
        timeout = self._settings.values["lock_step_timeout"]
        if time.monotonic() - self._awaited_since <= timeout:
            return
        if self._settings.values["wait_for_controller"] and not self._has_controller():
            self._warn("the controller is gone: waiting for another one")
            return
        self.unanswered += 1
        self._warn(f"no command within {timeout:g} s: flying on without one, here and later")
        self._fly_to_next_measurement()

    def _advance(self) -> Event | None:
        """Fly at most one physics step, and return the next measurement to publish, if any."""
        world, values = self.world, self._settings.values
        event = world.next_event(world.time + world.config.step)
        if not self._hovering and world.time - self._commanded > values["command_timeout"] * SECOND:
            self._hovering = True
            world.command(Command(world.time))
            self._warn(f"no command for {values['command_timeout']:g} s: hovering")
        self._outputs.sample_odometry()
        return event if event is not None and self._outputs.publishes(event) else None

    def _is_first(self, message: str) -> bool:
        """Whether this flight has not logged the message yet; it counts as logged from now on."""
        first = message not in self._logged
        self._logged.add(message)
        return first

    def _warn(self, message: str) -> None:
        if self._is_first(message):
            self.get_logger().warning(message)

    def _wait_for(self, what: str) -> bool:
        if self._is_first(what):
            self.get_logger().info(f"waiting for {what} on cmd_vel")
        return False

    # Commands, services and parameters.

    def _on_command(self, message: Any) -> None:
        now, twist = self.world.time, message
        stamp = now
        if self._settings.values["stamped"]:
            twist = message.twist
            try:
                stamp = stamp_of(message.header.stamp)
            except MessageError as error:
                self._refuse(str(error))
                return
        linear = twist.linear
        command = Command(stamp, linear.x, linear.y, linear.z, twist.angular.z)
        if not all(abs(value) <= LARGEST for value in command.vector):  # False for NaN too.
            self._refuse(f"it is not finite, or larger than {LARGEST:g} m/s or rad/s")
            return
        if self._lock_step and stamp - now > _LARGEST_LEAD:
            if stamp > self._ended:
                self._warn(
                    "a command is far ahead of /clock; does its sender set use_sim_time: true?"
                )
            return
        if self._first_command_at is None:
            self._first_command_at = time.monotonic()
        self.world.command(command)
        self._commanded, self._hovering = now, False
        answer = self._answer
        if self._awaited is not None and stamp >= self._awaited:
            self._answer = command
            self._fly_to_next_measurement()
        elif answer is not None and stamp == answer.stamp and command.vector != answer.vector:
            self.overtaken += 1

    def _refuse(self, why: str) -> None:
        self.refused += 1
        self._warn(f"refused a command: {why}")

    def _on_reset(self, request: Any, response: Any) -> Any:
        """Begin the flight of the parameter `seed`."""
        self._ended = self.world.time
        self._begin_flight()
        response.success, response.message = True, f"seed {self._settings.values['seed']}"
        return response

    def _on_inject_fault(self, request: Any, response: Any) -> Any:
        """Inject the fault that the parameters `fault.` describe, from now on."""
        try:
            if self._phase is Phase.OVER:
                raise SimulationError("the flight is over: call ~/reset first")
            fault = fault_of(self._settings.values, self.world.time)
            self.world.inject(fault)
        except LiquidNavError as error:
            response.success, response.message = False, str(error)
            return response
        response.success = True
        response.message = f"{fault.kind} from {fault.start / SECOND:.3f} s on"
        self.get_logger().warning(f"fault: {response.message}")
        return response

    def _check_parameters(self, changed: Iterable[Any]) -> Any:
        values, why = dict(self._settings.values), ""
        for parameter in changed:
            if parameter.name in values and not parameter.name.startswith(AT_ANY_TIME):
                why = f"{parameter.name} can only be set at the start"
            values[parameter.name] = parameter.value
        try:
            SimulatorSettings.of(values)
        except ConfigError as error:
            why = str(error)
        kind = message_class("rcl_interfaces/msg/SetParametersResult")
        return kind(successful=not why, reason=why)

    def _on_parameters_set(self, changed: Iterable[Any]) -> None:
        self._settings = SimulatorSettings.of(read(self, self._specs))
        self._start_real_time()

    def close(self) -> None:
        """Close the world and destroy the node."""
        self.world.close()
        self.destroy_node()
