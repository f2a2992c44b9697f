"""How the vehicle is taken over in motion: from its own velocity, not from that of the policy.

While somebody else flies, the policy asks for its cruising speed and nothing follows. An autopilot
that is then switched to our setpoints would leap to that speed.
"""

from __future__ import annotations

from dataclasses import replace

from liquid_nav.command import Command, CommandLimits, Mode
from liquid_nav.events import SECOND, Odometry
from liquid_nav.ros.backends.frames import heading_of, in_heading_frame
from liquid_nav.rotations import rotate

REASON = "entry: from the velocity of the vehicle"

Vector = tuple[float, float, float, float]


class SmoothEntry:
    """Turns commands into those that begin at the velocity of the vehicle.

    Before the autopilot follows, a nominal command becomes the measured velocity, so that the first
    setpoint that is followed changes nothing. From then on the setpoint slews from there to the
    command, hovers and landings included, and once it has reached the command it stays with it. A
    stop is never delayed. Without fresh odometry the vehicle counts as at rest.
    """

    def __init__(self) -> None:
        self._last: Command | None = None  # The last one before the command was reached.

    def command(
        self, command: Command, pose: Odometry | None, engaged: bool | None, limits: CommandLimits
    ) -> Command:
        """The command to be sent.

        Args:
            command: that of the controller.
            pose: the newest odometry that is fresh, or None.
            engaged: whether the autopilot follows setpoints; None if it does not say, and then the
                command stays as it is.
            limits: of every command.

        """
        if engaged is None or command.mode is Mode.STOP:
            self._last = None
        elif not engaged:
            measured = REST if pose is None else velocity(pose, limits)
            self._last = _with(command, measured)
            return self._last if command.mode is Mode.NOMINAL else command
        elif self._last is not None:
            elapsed = max(command.stamp - self._last.stamp, 0) / SECOND
            vector = _toward(self._last.vector, command.vector, elapsed, limits.slew)
            if vector != command.vector:
                self._last = _with(command, vector)
                return self._last
            self._last = None
        return command


REST: Vector = (0.0, 0.0, 0.0, 0.0)


def velocity(pose: Odometry, limits: CommandLimits) -> Vector:
    """Velocity of a vehicle in its heading frame within the limits, m/s and rad/s."""
    heading = heading_of(pose)
    if heading is None:
        return REST
    world = rotate(pose.orientation.tolist(), pose.linear_velocity.tolist())
    measured = (*in_heading_frame(world, heading), float(pose.angular_velocity[2]))
    a, b, c, d = (
        min(max(value, -most), most) for value, most in zip(measured, limits.magnitude, strict=True)
    )
    return (a, b, c, d)


def _with(command: Command, vector: Vector) -> Command:
    vx, vy, vz, yaw_rate = vector
    reason = "; ".join(filter(None, (command.reason, REASON)))
    return replace(command, vx=vx, vy=vy, vz=vz, yaw_rate=yaw_rate, reason=reason)


def _toward(start: Vector, target: Vector, seconds: float, rates: Vector) -> Vector:
    a, b, c, d = (
        min(max(end, begin - rate * seconds), begin + rate * seconds)
        for begin, end, rate in zip(start, target, rates, strict=True)
    )
    return (a, b, c, d)
