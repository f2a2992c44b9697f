"""The simulator as a drone on ROS 2: sensors and /clock out, velocity commands in.

A measurement is published when the simulated time has come to its arrival, with `/clock` at just
that before it: a controller on simulated time sees each with the latency that it was given.
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
from liquid_nav.ros.parameters import declare, read
from liquid_nav.ros.simulator.outputs import Outputs
from liquid_nav.ros.simulator.parameters import AT_ANY_TIME, LOCK_STEP, Settings, specs_of
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.world import Outcome, World

_FOREIGN = SECOND
"""ns by which a command may be ahead of the flight; one further ahead is of another clock: of the
flight before, or not of /clock at all."""

_STRIDE = SECOND // 20
"""ns that a flight in lock-step goes on without a measurement before it waits for a command."""

_MATCH = 1.0
"""s of the wall that a flight in lock-step waits for what may never come: a reader of each sensor
once there is a command, a command once there are readers."""

_LAG = 0.25
"""s of the wall that the world may be behind real time before it gives them up."""

_SLICE = 0.003
"""s of the wall that the world flies on before commands and services are looked at again."""


class Phase(Enum):
    """Where the flight is: before its first step, under way, or at its end."""

    WAITING = "waiting"
    FLYING = "flying"
    OVER = "over"


class SimulatorNode(Node):  # type: ignore[misc, unused-ignore]
    """`liquid_nav_sim_node`.

    One thread: the world flies within callbacks. In real time that of a steady timer, in lock-step
    that of the command which it waited for.

    Args:
        options: of `rclpy.node.Node`, for tests: context, namespace, overrides.

    Attributes:
        world: the simulator.
        refused: commands of this flight that were not finite, far too large, or without a stamp.
        unanswered: measurements of this flight that no command answered in time, in lock-step.
        overtaken: measurements of this flight, in lock-step, for which another command of the
            same time, as a controller's timer may send it, was taken for the answer. Without any,
            and without unanswered ones, the flight is that of the controller in this process.

    Raises:
        ConfigError: on parameters that make no sense together.
        SimulationError: if PyBullet cannot start.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__("liquid_nav_sim_node", **options)
        # Which parameters there are depends on which sensors are fitted.
        given = getattr(self, "_parameter_overrides", {})
        self._specs = specs_of({name: parameter.value for name, parameter in given.items()})
        declare(self, self._specs)
        self._settings = Settings.of(read(self, self._specs))
        values = self._settings.values
        self.add_on_set_parameters_callback(self._may_set)
        self.add_post_set_parameters_callback(self._was_set)
        self._in_step = values["pace"] == LOCK_STEP
        self.world = World(self._settings.world(), gui=values["gui"])
        self._flights = 0
        self._outputs = Outputs(self, self.world, values["odometry_rate"])
        twist = "TwistStamped" if values["stamped"] else "Twist"
        self._ear = self.create_subscription(
            message_class(f"geometry_msgs/msg/{twist}"), "cmd_vel", self._on_command, 10
        )
        trigger = message_class("std_srvs/srv/Trigger")
        self.create_service(trigger, "~/reset", self._on_reset)
        self.create_service(trigger, "~/inject_fault", self._on_inject_fault)
        # Time of the flight before at its end, ns.
        self._ended = 0
        self._begin_anew()
        period = 0.005 if self._in_step else 0.002
        self.create_timer(period, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # Flights.

    def _begin_anew(self) -> None:
        """Put the flight of the parameter `seed` at its start."""
        self._seed: int = self._settings.values["seed"]
        self.world.reset(self._seed)
        self._phase = Phase.WAITING
        self.refused = self.unanswered = self.overtaken = 0
        # The last command that was taken for an answer, in lock-step.
        self._answer: Command | None = None
        self._said: set[str] = set()
        # When, on the wall, the first command of this flight came.
        self._heard: float | None = None
        self._read_since: float | None = None
        self._commanded, self._hovering = 0, True
        self._awaited: int | None = None
        self._next_clock = 0
        self._outputs.begin()

    def _may_begin(self) -> bool:
        if not self._settings.values["wait_for_controller"]:
            return True
        if not self._has_controller():
            return self._wait_for("a controller")
        if not self._in_step:
            return True
        now, read = time.monotonic(), self._outputs.have_readers()
        if self._heard is not None:
            return read or now - self._heard > _MATCH
        # A publisher may be there before its owner is active, which its first command shows. One
        # that only answers measurements has none to send, but reads them.
        self._read_since = (self._read_since or now) if read else None
        if self._read_since is not None and now - self._read_since > _MATCH:
            return True
        return self._wait_for("the first command")

    def _has_controller(self) -> bool:
        with self._ear.handle:
            return bool(self._ear.handle.get_publisher_count())

    def _take_off(self) -> None:
        self._phase = Phase.FLYING
        self._follow_wall()
        self.get_logger().info(f"flight of seed {self._seed} begins")
        if self._in_step:
            self._fly_to_next_measurement()

    def _land(self, outcome: Outcome) -> None:
        """Say how the flight ended; end the node, begin the next one, or stand still."""
        self._phase = Phase.OVER
        self._flights += 1
        self._awaited, self._ended = None, self.world.time
        figures = {
            "seed": self._seed,
            "refused_commands": self.refused,
            "unanswered_measurements": self.unanswered,
            "overtaken_measurements": self.overtaken,
        }
        self._outputs.outcome(figures)
        duration = self.world.time / SECOND
        self.get_logger().info(
            f"flight of seed {self._seed}: {outcome.value} after {duration:.2f} s"
        )
        values = self._settings.values
        if self._flights == values["episodes"]:
            self._outputs.flush()
            self.get_logger().info(f"{self._flights} flights are flown")
            self.context.try_shutdown()
        elif values["auto_reset"]:
            (set_,) = self.set_parameters([Parameter("seed", value=self._seed + 1)])
            if set_.successful:
                self._begin_anew()
            else:
                self.get_logger().error(f"there is no next seed: {set_.reason}")

    # Time.

    def _on_timer(self) -> None:
        if self._phase is Phase.WAITING and self._may_begin():
            self._take_off()
        elif self._phase is not Phase.FLYING:
            self._outputs.repeat_time()
        elif self._in_step:
            self._watch()
        else:
            self._catch_up()

    def _follow_wall(self) -> None:
        """Let real time be now at the world's time."""
        self._origin = (time.monotonic(), self.world.time)

    def _catch_up(self) -> None:
        """Fly to where real time is, or as far as one slice allows."""
        begin, speed = time.monotonic(), self._settings.values["speed"]
        wall, origin = self._origin
        target = origin + round((begin - wall) * speed * SECOND)
        if target - self.world.time > _LAG * speed * SECOND:
            self._warn(f"cannot keep up with {speed:g} times real time: flying as fast as it goes")
            self._follow_wall()
        while self.world.time + self.world.config.step <= target:
            event = self._advance()
            if event is not None:
                self._outputs.measurement(event)
                continue
            if self.world.time >= self._next_clock:
                self._next_clock += round(SECOND / self._settings.values["clock_rate"])
                self._outputs.time(self.world.time)
            self._outputs.odometry()
            if self.world.outcome is not None:
                self._land(self.world.outcome)
                return
            if time.monotonic() - begin > _SLICE:
                return

    def _fly_to_next_measurement(self) -> None:
        """Fly until there is something to answer, publish it, and stand still."""
        self._awaited = None
        limit = self.world.time + _STRIDE
        while (event := self._advance()) is None:
            if self.world.outcome is not None:
                self._outputs.odometry()
                self._land(self.world.outcome)
                return
            if self.world.time >= limit:
                self._await(self.world.time)
                self._outputs.time(self.world.time)
                self._outputs.odometry()
                return
        self._await(event.arrival)
        self._outputs.measurement(event)
        # Behind the measurement, so that its own answer is not taken for the measurement's.
        self._outputs.odometry()

    def _await(self, stamp: int) -> None:
        self._awaited, self._since = stamp, time.monotonic()

    def _watch(self) -> None:
        """While the world waits in lock-step: repeat the time, and do not wait for ever."""
        if self._awaited is None:
            return
        self._outputs.repeat_time()
        timeout = self._settings.values["lock_step_timeout"]
        if time.monotonic() - self._since <= timeout:
            return
        if self._settings.values["wait_for_controller"] and not self._has_controller():
            self._warn("the controller is gone: waiting for the next")
            return
        self.unanswered += 1
        self._warn(f"no command within {timeout:g} s: going on without; there may be more")
        self._fly_to_next_measurement()

    def _advance(self) -> Event | None:
        """Fly one physics step unless a measurement waits; give the next one to publish."""
        world, values = self.world, self._settings.values
        event = world.next_event(world.time + world.config.step)
        if not self._hovering and world.time - self._commanded > values["command_timeout"] * SECOND:
            self._hovering = True
            world.command(Command(world.time))
            self._warn(f"no command for {values['command_timeout']:g} s: hovering")
        self._outputs.look()
        return event if event is not None and self._outputs.publishes(event) else None

    def _is_new(self, words: str) -> bool:
        """Whether this is the first time in this flight that `words` are asked about."""
        new = words not in self._said
        self._said.add(words)
        return new

    def _warn(self, words: str) -> None:
        if self._is_new(words):
            self.get_logger().warning(words)

    def _wait_for(self, whom: str) -> bool:
        if self._is_new(whom):
            self.get_logger().info(f"waiting for {whom} on cmd_vel")
        return False

    # In.

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
            self._refuse(f"not finite, or beyond {LARGEST:g} m/s or rad/s")
            return
        if self._in_step and stamp - now > _FOREIGN:
            if stamp > self._ended:
                self._warn("a command is far ahead of /clock; has its sender use_sim_time: true?")
            return
        if self._heard is None:
            self._heard = time.monotonic()
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
        self._begin_anew()
        response.success, response.message = True, f"seed {self._settings.values['seed']}"
        return response

    def _on_inject_fault(self, request: Any, response: Any) -> Any:
        """Break what the parameters `fault.` say, from now on."""
        try:
            if self._phase is Phase.OVER:
                raise SimulationError("the flight is over: reset first")
            fault = self._settings.fault(self.world.time)
            self.world.inject(fault)
        except LiquidNavError as error:
            response.success, response.message = False, str(error)
            return response
        response.success = True
        response.message = f"{fault.kind} from {fault.start / SECOND:.3f} s on"
        self.get_logger().warning(f"fault: {response.message}")
        return response

    def _may_set(self, changed: Iterable[Any]) -> Any:
        values, why = dict(self._settings.values), ""
        for parameter in changed:
            if parameter.name in values and not parameter.name.startswith(AT_ANY_TIME):
                why = f"{parameter.name} can only be set at the start"
            values[parameter.name] = parameter.value
        try:
            Settings.of(values)
        except ConfigError as error:
            why = str(error)
        kind = message_class("rcl_interfaces/msg/SetParametersResult")
        return kind(successful=not why, reason=why)

    def _was_set(self, changed: Iterable[Any]) -> None:
        self._settings = Settings.of(read(self, self._specs))
        self._follow_wall()

    def close(self) -> None:
        """Give the world back and end."""
        self.world.close()
        self.destroy_node()
