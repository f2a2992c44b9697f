"""Crazyflie by Crazyswarm2: ``cmd_hover``, or ``cmd_velocity_world``.

``cmd_hover`` takes body velocities and an absolute height, so the climb rate is integrated here.
Units and signs are read from Crazyswarm2's servers, cflib and the firmware, see
docs/autopilots/crazyflie.md.
The Crazyflie levels after 0.5 s without a setpoint and cuts its motors after 2 s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Odometry
from liquid_nav.ros.backends.base import POSE_TIMEOUT, Backend
from liquid_nav.ros.backends.frames import Vector3
from liquid_nav.ros.backends.messages import Fields, header, vector3
from liquid_nav.ros.parameters import Spec, name_fault

if TYPE_CHECKING:
    from rclpy.node import Node

YAW_UNIT = {
    ("cmd_hover", "cpp"): 1.0,
    ("cmd_hover", "cflib"): -1.0,
    ("cmd_velocity_world", "cpp"): -math.degrees(1),
    ("cmd_velocity_world", "cflib"): math.degrees(1),
}
"""Value of the field ``yaw_rate`` that turns left at 1 rad/s, by topic and server."""

HIGHEST = 100.0
"""Metres; no option and no height that is taken over may be higher."""

LONGEST_STEP = 0.2
"""Seconds; a longer gap between two commands counts as this much in the height setpoint."""

LONGEST_GAP = 1.0
"""Seconds; after a longer gap the vehicle may be anywhere, and odometry says where."""

LARGEST_LAG, LAG_TIME = 0.4, 0.5
"""How far a vehicle may be from its height setpoint before it counts as elsewhere: metres, and
in addition seconds of the present climb or descent."""

SETTLING = 1.5
"""m/s^2; how fast a climb or descent that has ended stops to count in that."""


def climb(height: float, vz: float, elapsed: float, low: float, high: float) -> float:
    """Height setpoint in metres after climbing at `vz` m/s for `elapsed` s, within bounds.

    A height that is out of the bounds already stays where it is: a bound ends a climb or a descent,
    and does not start one.
    """
    step = vz * min(max(elapsed, 0.0), LONGEST_STEP)
    return min(max(height + step, min(low, height)), max(high, height))


def hover_setpoint(command: Command, height: float, server: str = "cpp") -> Fields:
    """Fields of ``crazyflie_interfaces/Hover``; `height` in metres."""
    return {
        "header": header(command.stamp, "base_link"),
        "vx": command.vx,
        "vy": command.vy,
        "yaw_rate": command.yaw_rate * YAW_UNIT["cmd_hover", server],
        "z_distance": height,
    }


def world_setpoint(command: Command, velocity: Vector3, server: str = "cpp") -> Fields:
    """Fields of ``crazyflie_interfaces/VelocityWorld``; `velocity` in ENU, m/s."""
    return {
        "header": header(command.stamp, "world"),
        "vel": vector3(velocity),
        "yaw_rate": command.yaw_rate * YAW_UNIT["cmd_velocity_world", server],
    }


class Crazyswarm2Backend(Backend):
    """Sends setpoints to one Crazyflie that is in flight already.

    With ``cmd_hover`` the height setpoint starts at each activation at the height of the pose that
    `activate` is given, within the bounds, or at the option ``height`` if there is none; a vehicle
    that is taken over keeps the height setpoint of the process that commanded it before.

    Where the vehicle may have moved without the setpoint, the setpoint begins once more at the
    height that odometry gives: at the first odometry after an activation without one, after a
    landing, after a gap or a leap of the clock, and when the two differ by more than a lag.
    """

    name = "crazyswarm2"
    message_package = "crazyflie_interfaces"
    install_hint = (
        "build it in your workspace from https://github.com/IMRCLab/crazyswarm2; it is not on PyPI"
    )
    minimum_rate = 20.0  # The radio drops packets.
    setpoint_timeout = 0.5  # The Crazyflie levels then.
    options = (
        Spec("robot", "cf1", "Name of the Crazyflie in crazyflies.yaml.", fault=name_fault),
        Spec(
            "topic",
            "cmd_hover",
            "cmd_hover: body velocity and height; cmd_velocity_world, which needs odometry.",
            choices=("cmd_hover", "cmd_velocity_world"),
        ),
        Spec(
            "server",
            "cpp",
            "The back-end of Crazyswarm2; the two read yaw rates differently.",
            choices=("cpp", "cflib"),
        ),
        Spec("height", 0.5, "Height in m to start at without odometry.", (0.01, HIGHEST)),
        Spec(
            "lowest",
            0.2,
            "Lowest height setpoint in m; a landing goes below it.",
            (0.01, HIGHEST),
        ),
        Spec("highest", 2.0, "Highest height setpoint in m.", (0.01, HIGHEST)),
        POSE_TIMEOUT,
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        values = self.values
        self._height: float = values["height"]
        self._last: Command | None = None
        self._doubtful = False  # Whether the next odometry sets the height.
        self._climbing = 0.0  # Recent speed of climb or descent, m/s.
        if not values["lowest"] <= self._height <= values["highest"]:
            raise ConfigError(
                "back-end crazyswarm2: heights must be lowest <= height <= highest, got "
                f"{values['lowest']}, {self._height}, {values['highest']}"
            )
        self.needs_odometry = values["topic"] == "cmd_velocity_world"
        self.starts_at_pose = not self.needs_odometry
        self._topic = f"/{values['robot'].strip('/')}/{values['topic']}"

    def configure(self, node: Node) -> None:
        """Make the publisher."""
        super().configure(node)
        kind = "VelocityWorld" if self.needs_odometry else "Hover"
        self._advertise(self._topic, f"crazyflie_interfaces/msg/{kind}")

    def activate(self, pose: Odometry | None) -> None:
        """Begin at the height of the pose."""
        super().activate(pose)
        values = self.values
        height = values["height"] if pose is None else float(pose.position[2])
        if not math.isfinite(height):
            height = values["height"]
        self._height = min(max(height, values["lowest"]), values["highest"])
        self._last, self._doubtful, self._climbing = None, pose is None, 0.0

    def handover(self) -> dict[str, str]:
        """The height setpoint, metres."""
        return super().handover() | ({} if self.needs_odometry else {"height": repr(self._height)})

    def take_over(self, values: Mapping[str, str]) -> None:
        """Begin at the height setpoint of the process before, also out of the bounds."""
        super().take_over(values)
        try:
            height = float(values["height"])
        except (KeyError, ValueError):
            return
        if 0 <= height <= HIGHEST:
            self._height, self._doubtful = height, False

    def _command(self, command: Command, heading: float | None, fresh: bool) -> Command:
        server = self.values["server"]
        if self.needs_odometry:
            command, velocity = self._world(command, heading)
            self._publish(self._topic, world_setpoint(command, velocity, server))
            return command
        # The first command of an activation has no earlier one to climb from.
        last = self._last or command
        elapsed = (command.stamp - last.stamp) / SECOND
        landing = command.mode is Mode.LAND
        if not 0 <= elapsed <= LONGEST_GAP or (last.mode is Mode.LAND and not landing):
            self._doubtful = True
        calmed = self._climbing - SETTLING * max(elapsed, 0.0)
        self._climbing = max(abs(command.vz), calmed, 0.0)
        self._follow_odometry(command)
        lowest = 0.0 if landing else self.values["lowest"]
        self._height = climb(self._height, command.vz, elapsed, lowest, self.values["highest"])
        self._last = command
        self._publish(self._topic, hover_setpoint(command, self._height, server))
        return command

    def _follow_odometry(self, command: Command) -> None:
        """Begin once more at the height of the vehicle, if it is not where it was commanded to be.

        A landing goes on downwards on a vehicle that stands on the ground, whatever its height is.
        """
        if self._pose is None:
            return
        height = float(self._pose.position[2])
        # The vehicle may have climbed or sunk since the odometry was measured.
        behind = LAG_TIME + abs(command.stamp - self._pose.stamp) / SECOND
        lag = LARGEST_LAG + behind * self._climbing
        lost = abs(height - self._height) > lag and command.mode is not Mode.LAND
        if (self._doubtful or lost) and math.isfinite(height):
            self._height, self._doubtful = min(max(height, 0.0), self.values["highest"]), False
