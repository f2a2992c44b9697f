"""Eyes for a vehicle that something else flies: it takes poses, and publishes frames and a verdict.

PX4 or ArduPilot in the loop, a Gazebo without a camera, or a real drone in an empty hall then fly
the tasks of our simulator.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile

from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.events import SECOND
from liquid_nav.messages import scene as scene_messages
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.fields import WORLD, fill
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import OK, TOPIC, WARN, Status, message
from liquid_nav.ros.parameters import check_topics, declare, read
from liquid_nav.ros.simulator.eyes.parameters import (
    AIRBORNE,
    ARRIVAL,
    AT_ANY_TIME,
    AT_START,
    SPECS,
    EyesSettings,
)
from liquid_nav.ros.simulator.eyes.place import Place
from liquid_nav.ros.simulator.eyes.poses import FrameCheck, Pose, Track
from liquid_nav.ros.simulator.eyes.sources import SOURCES, subscribe
from liquid_nav.ros.simulator.outputs import OutcomeOutput, publisher, sensor_outputs
from liquid_nav.ros.simulator.parameters import fault_of, specs_of
from liquid_nav_sim.watched import WatchedWorld

_TICK = 0.004
"""Wall-clock s between two looks for frames that have arrived."""

_AWAKE = 25
"""Looks in silence before there is no pose: a process that stood still finds some in its queue."""

_SCENE_PERIOD = 0.1
"""Wall-clock s between two markers of a target that moves."""

_PAUSE = 1.0
"""Wall-clock s before a flight that could not begin is tried again."""

_SLOW = 15.0
"""Rate of poses, Hz, below which frames wait so long for the next pose that it is reported."""

_LATE = 0.15
"""Delay of a frame beyond its simulated latency, s, above which it is reported."""


class Phase(Enum):
    """Phase of the flight: the scene is shown before it, during it, and after it."""

    WAITING = "waiting"
    FLYING = "flying"
    OVER = "over"


class EyesNode(Node):  # type: ignore[misc, unused-ignore]
    """The node `liquid_nav_eyes_node`.

    Each frame is drawn from the pose at its stamp, interpolated between the poses before and after
    it, and published once it has arrived by the simulated latency. Nothing is extrapolated: where
    poses come late or seldom, frames come later, with their true stamps.

    Args:
        options: keyword arguments of `rclpy.node.Node`, for tests.

    Attributes:
        world: the scene, its sensors and the judge.
        phase: phase of the flight.
        refused: number of messages that gave no pose.

    Raises:
        ConfigError: on parameters that contradict each other, or messages that are not installed.
        SimulationError: on a sensor that needs more than poses; if PyBullet cannot start.

    """

    def __init__(self, **options: Any) -> None:
        super().__init__("liquid_nav_eyes_node", **options)
        given = getattr(self, "_parameter_overrides", {})
        # The sensors that are fitted decide which parameters exist.
        self._specs = specs_of({name: p.value for name, p in given.items()}, SPECS)
        declare(self, self._specs)
        self._settings = EyesSettings.of(read(self, self._specs))
        values = self._settings.values
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        self.world = WatchedWorld(self._settings.world())
        self.world.reset(values["seed"])  # What cannot be drawn is told now, not at the first pose.
        self.phase, self.refused = Phase.WAITING, 0
        self._seed: int = values["seed"]
        self._frame = values["world_frame"] or WORLD
        self._by_arrival = values["pose_stamps"] == ARRIVAL
        self._track = Track(values["pose_timeout"], values["max_speed"])
        self._frames = FrameCheck(values["origin"][2])
        self._place: Place | None = None
        self._origin = 0  # Time of the flight's start, ns.
        self._next_try = 0.0  # Wall-clock s before which no flight begins by itself.
        self._clearance = math.inf  # Smallest of the flight, metres.
        self._broken = ""
        self._refusal = ""
        self._measurements = 0
        self._latest = 0  # Largest delay of a measurement beyond its latency since a report, ns.
        self._logged: set[str] = set()
        self._came_at: float | None = None  # Wall-clock s of the last pose.
        self._followed_at = 0  # The same by the node's clock, ns.
        self._ticks = 0  # Looks in silence.
        self._make_endpoints(values)

    def _make_endpoints(self, values: Any) -> None:
        self._outputs = sensor_outputs(self, self.world.config.sensors)
        self._outcome = OutcomeOutput(self)
        self._diagnostics = publisher(self, "diagnostic_msgs/msg/DiagnosticArray", TOPIC, 10)
        self._markers = self._make_markers()
        trigger = message_class("std_srvs/srv/Trigger")
        self.create_service(trigger, "~/begin", self._on_begin)
        self.create_service(trigger, "~/inject_fault", self._on_inject_fault)
        self._source = SOURCES[values["pose"]](values["world_frame"], values["body_frame"])
        topic = values["pose_topic"] or self._source.topic
        check_topics(self, {"the poses": topic, **{f"sensor {n}": n for n in values["sensors"]}})
        self._topic = subscribe(self, self._source, topic, self._on_message)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_TICK, self._on_timer, clock=steady)
        self.create_timer(_SCENE_PERIOD, self._on_scene_timer, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)

    def _make_markers(self) -> Any:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        try:
            return publisher(self, scene_messages.TYPE, "~/scene", latched)
        except ImportError:
            self.get_logger().info(
                "the ROS package visualization_msgs is not installed: no markers of the scene"
            )
            return None

    # Poses.

    def _on_message(self, received: Any) -> None:
        now: int = self.get_clock().now().nanoseconds
        if not now:  # Simulated time has not come yet.
            return
        try:
            pose = self._source.decode(received, now, self._by_arrival)
        except MessageError as error:
            self.refused, self._refusal = self.refused + 1, str(error)
            simulated = self.get_parameter("use_sim_time").value
            self._warn(
                f"a pose on {self._topic} is refused: {error} (use_sim_time is "
                f"{str(simulated).lower()} here; pose_stamps: arrival ignores stamps)",
                once="refused",
            )
            return
        if pose is not None:
            self._follow(pose)

    def _follow(self, pose: Pose) -> None:
        """Move the vehicle to its next pose."""
        why = self._track.add(pose)
        if why is None:
            return
        self._came_at = time.monotonic()
        self._followed_at, self._ticks = self.get_clock().now().nanoseconds, 0
        self._logged.discard("silent")
        if why:
            self._frames.restart()
            self._break_off(why)
        self._frames.add(pose)
        if self._frames.complaint:
            self._warn(self._frames.complaint, once="frames")
        if why or self._place is None:
            self._show(pose)
            return
        self.world.move(pose.stamp - self._origin, *self._place.pose(pose))
        self._publish_arrived()
        if self.phase is Phase.FLYING:
            self._clearance = min(self._clearance, self.world.clearance())
            if self.world.outcome is not None:
                self._end()
        elif self.phase is Phase.WAITING and self._is_airborne(pose):
            self._begin(pose)

    def _is_airborne(self, pose: Pose) -> bool:
        values = self._settings.values
        height = pose.position[2] - values["origin"][2]
        # A flight that could not begin is tried again, but not at every pose.
        ready = time.monotonic() >= self._next_try
        return bool(ready and values["begin"] == AIRBORNE and height >= values["begin_height"])

    def _show(self, pose: Pose) -> bool:
        """Draw the scene anew, with the vehicle at a pose; return whether it touches nothing."""
        values, world = self._settings.values, self.world
        world.reset(self._seed)
        if values["placed"] == AT_START:
            self._place = Place.at_start(world.scene, pose, values["origin"][2])
        else:
            self._place = Place.fixed(values["origin"], values["origin_yaw"])
        self._origin = pose.stamp
        self._publish_scene(anew=True)
        return world.place(*self._place.pose(pose))

    # Flights.

    def _begin(self, pose: Pose) -> str:
        """Begin the flight at a pose; return why that is not possible, empty if it is."""
        free = self._show(pose)
        if not free or self._frames.complaint:
            why = self._frames.complaint or (
                "the vehicle touches the ground or an obstacle where the flight would begin: take "
                "off first"
            )
            self._warn(f"no flight begins: {why}")
            self.phase, self._next_try = Phase.WAITING, time.monotonic() + _PAUSE
            return why
        self.phase, self._broken = Phase.FLYING, ""
        self._clearance = self.world.clearance()
        self._logged.clear()
        task = self._settings.values["task"]
        self.get_logger().info(f"flight of seed {self._seed} at the task {task} begins")
        return ""

    def _end(self, void: str = "") -> None:
        """Publish how the flight ended; the scene stays, since the vehicle flies on."""
        self.phase = Phase.OVER
        values = self._settings.values
        figures = {"seed": self._seed, "task": values["task"], "clearance": self._clearance}
        self._outcome.publish(self.world, figures, f"void: {void}" if void else "")
        how = f"void: {void}" if void or self.world.outcome is None else self.world.outcome.value
        self.get_logger().info(
            f"flight of seed {self._seed}: {how} after {self.world.time / SECOND:.2f} s"
        )

    def _break_off(self, why: str) -> None:
        """Give up a flight whose way is not known to the end."""
        if self.phase is Phase.FLYING:
            self._broken = why
            self._end(void=why)

    # Time.

    def _on_timer(self) -> None:
        if self._place is None:
            return
        self._publish_arrived()
        silence = self._silence()
        silent = silence > self._settings.values["pose_timeout"]
        self._ticks = self._ticks + 1 if silent else 0
        if self._ticks >= _AWAKE:
            self._warn(f"no pose on {self._topic}: no frames until there is one", once="silent")
            self._break_off(f"no pose for {silence:.2f} s")

    def _silence(self) -> float:
        """Seconds of the node's clock since it followed the last pose."""
        now: int = self.get_clock().now().nanoseconds
        return (now - self._followed_at) / SECOND

    def _publish_arrived(self) -> None:
        """Publish the measurements that have arrived by now."""
        now = self.get_clock().now().nanoseconds - self._origin
        while (event := self.world.next_event(now)) is not None:
            output = self._outputs.get(self.world.sensor_of(event))
            if output is None:
                continue
            self._latest = max(self._latest, now - event.arrival)
            stamped = replace(
                event, stamp=event.stamp + self._origin, arrival=event.arrival + self._origin
            )
            output.publisher.publish(output.message(stamped))
            self._measurements += 1

    def _on_scene_timer(self) -> None:
        if self._place is not None and self.world.scene.route is not None:
            self._publish_scene()

    def _publish_scene(self, anew: bool = False) -> None:
        """Publish the markers of the scene; with `anew` those of another scene are removed."""
        if self._markers is None or self._place is None:
            return
        now = self.world.time
        drawn = scene_messages.markers(
            self.world.scene, now, now + self._origin, frame=self._frame, moved=self._place.solid
        )
        first = [scene_messages.REMOVE_ALL] if anew else []
        marker = message_class("visualization_msgs/msg/Marker")
        made = [fill(marker(), fields) for fields in (*first, *drawn)]
        self._markers.publish(message_class(scene_messages.TYPE)(markers=made))

    # Reports.

    def _report(self) -> None:
        """Publish the diagnostics."""
        rate = self._track.rate()
        level, text = self._state(rate)
        values = {
            "phase": self.phase.value,
            "task": self._settings.values["task"],
            "seed": str(self._seed),
            "pose_rate": f"{rate:.1f}",
            "poses_refused": str(self.refused),
            "poses_late": str(self._track.late),
            "refusal": self._refusal,
            "measurements": str(self._measurements),
            "largest_delay": f"{self._latest / SECOND:.3f}",
        }
        name: Any = self.get_fully_qualified_name()
        stamp = self.get_clock().now().nanoseconds
        self._diagnostics.publish(message(name, stamp, [Status(level, "eyes", text, values)]))
        self._latest = 0

    def _state(self, rate: float) -> tuple[int, str]:
        """Level and words of the diagnostics."""
        if not self.get_clock().now().nanoseconds:
            return WARN, "no time on /clock yet, and use_sim_time is true"
        if self._came_at is None:
            refused = f": {self._refusal}" if self._refusal else ""
            return WARN, f"no pose on {self._topic} yet{refused}"
        silence = time.monotonic() - self._came_at
        if silence > max(1.0, self._settings.values["pose_timeout"]):
            return WARN, f"no pose for {silence:.1f} s: no frames are drawn"
        if self._frames.complaint:
            return WARN, self._frames.complaint
        if self._broken:
            return WARN, f"the flight of seed {self._seed} is void: {self._broken}"
        late = self._latest / SECOND
        if 0 < rate < _SLOW or late > _LATE:
            why = f"poses come at {rate:.1f} Hz, or late, or this machine is too busy"
            return WARN, f"frames come up to {late:.2f} s late: {why}"
        return OK, f"{self.phase.value}, seed {self._seed}"

    def _warn(self, text: str, once: str = "") -> None:
        """Log a warning that was not logged in this flight, or whose kind `once` was not."""
        if (once or text) not in self._logged:
            self._logged.add(once or text)
            self.get_logger().warning(text)

    # Services and parameters.

    def _on_begin(self, request: Any, response: Any) -> Any:
        """Begin a flight where the vehicle is: of the next seed, if one was flown."""
        pose, response.success = self._track.last, False
        if pose is None or self._silence() > self._settings.values["pose_timeout"]:
            response.message = f"no pose on {self._topic}"
            return response
        if self.phase is not Phase.WAITING:
            (set_,) = self.set_parameters([Parameter("seed", value=self._seed + 1)])
            if not set_.successful:
                response.message = f"cannot begin the next seed: {set_.reason}"
                return response
        why = self._begin(pose)
        response.success, response.message = not why, why or f"seed {self._seed}"
        return response

    def _on_inject_fault(self, request: Any, response: Any) -> Any:
        """Inject the fault that the parameters `fault.` describe, from now on."""
        try:
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
            EyesSettings.of(values)
        except ConfigError as error:
            why = str(error)
        kind = message_class("rcl_interfaces/msg/SetParametersResult")
        return kind(successful=not why, reason=why)

    def _on_parameters_set(self, changed: Iterable[Any]) -> None:
        self._settings = EyesSettings.of(read(self, self._specs))
        if any(parameter.name == "seed" for parameter in changed):
            self._break_off("another seed was set")
            self._seed, self.phase = self._settings.values["seed"], Phase.WAITING
            if self._track.last is not None:
                self._show(self._track.last)

    def close(self) -> None:
        """Close the world and destroy the node."""
        self.world.close()
        self.destroy_node()
