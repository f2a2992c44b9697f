"""Crazyflie by Crazyswarm2: ``cmd_hover``, or ``cmd_velocity_world``.

``cmd_hover`` takes body velocities and an absolute height, so the climb rate is integrated here.
Units and signs are read from Crazyswarm2's servers, cflib and the firmware, see
docs/autopilots/crazyflie.md.
The Crazyflie levels after 0.5 s without a setpoint and cuts its motors after 2 s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Odometry
from liquid_nav.ros.backends.base import Backend
from liquid_nav.ros.backends.frames import Vector3
from liquid_nav.ros.backends.messages import Fields, header, vector3

if TYPE_CHECKING:
    from rclpy.node import Node

YAW_UNIT = {
    ("cmd_hover", "cpp"): 1.0,
    ("cmd_hover", "cflib"): -1.0,
    ("cmd_velocity_world", "cpp"): -math.degrees(1),
    ("cmd_velocity_world", "cflib"): math.degrees(1),
}
"""What turns left at 1 rad/s, by topic and server."""

LONGEST_STEP = 0.2
"""Seconds of climb at most that a gap between two commands may make up for."""


def climb(height: float, vz: float, elapsed: float, low: float, high: float) -> float:
    """Height setpoint in metres after climbing at `vz` m/s for `elapsed` s, within bounds.

    A height below `low` is not lifted to it: the bound stops a descent and starts no climb.
    """
    step = vz * min(max(elapsed, 0.0), LONGEST_STEP)
    return min(max(height + step, min(low, height)), high)


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
    """Sends setpoints to one Crazyflie, in flight already.

    Args:
        node: makes the publisher.
        robot: name of the Crazyflie in ``crazyflies.yaml``.
        topic: ``cmd_hover``, or ``cmd_velocity_world``, which needs odometry.
        server: Crazyswarm2's back-end, ``cpp`` or ``cflib``: they read yaw rates differently.
        height: metres to begin at when there is no odometry to tell.
        lowest, highest: metres, bounds of the height setpoint; landing may go below the lowest.
        pose_timeout: age in seconds past which odometry tells nothing.

    """

    name = "crazyswarm2"
    messages = "crazyflie_interfaces"
    how_to_get = (
        "build it in your workspace from https://github.com/IMRCLab/crazyswarm2; it is not on PyPI"
    )
    rate = 20.0

    def __init__(
        self,
        node: Node,
        *,
        robot: str = "cf1",
        topic: str = "cmd_hover",
        server: str = "cpp",
        height: float = 0.5,
        lowest: float = 0.2,
        highest: float = 2.0,
        pose_timeout: float = 0.5,
    ) -> None:
        if (topic, server) not in YAW_UNIT:
            known = "; ".join(f"{t} with {s}" for t, s in YAW_UNIT)
            raise ConfigError(f"no {topic!r} with server {server!r}; there are {known}")
        if not 0 < lowest <= height <= highest < math.inf:
            raise ConfigError(
                "heights need 0 < lowest <= height <= highest, "
                f"got {lowest!r}, {height!r}, {highest!r}"
            )
        super().__init__(node, pose_timeout=pose_timeout)
        kind = "Hover" if topic == "cmd_hover" else "VelocityWorld"
        self._server, self._lowest, self._highest = server, lowest, highest
        self._in_world = topic == "cmd_velocity_world"
        self._topic = f"/{robot.strip('/')}/{topic}"
        self._height = height
        self._last: int | None = None
        self._advertise(self._topic, f"crazyflie_interfaces/msg/{kind}")

    def send(self, command: Command, pose: Odometry | None, fresh: bool) -> Command | None:
        """As `Backend.send`; the first odometry in time says at which height to begin."""
        timely = self._timely(pose, command.stamp)
        if self._last is None and timely is not None and math.isfinite(timely.position[2]):
            self._height = min(max(float(timely.position[2]), self._lowest), self._highest)
        return super().send(command, pose, fresh)

    def _send(self, command: Command, heading: float | None, fresh: bool) -> Command:
        if self._in_world:
            command, velocity = self._world(command, heading)
            self._publish(self._topic, world_setpoint(command, velocity, self._server))
            return command
        elapsed = 0.0 if self._last is None else (command.stamp - self._last) / SECOND
        low = 0.0 if command.mode is Mode.LAND else self._lowest
        self._height = climb(self._height, command.vz, elapsed, low, self._highest)
        self._last = command.stamp
        self._publish(self._topic, hover_setpoint(command, self._height, self._server))
        return command
