"""The geofence: a box in the world frame that the vehicle can always stop inside of."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Odometry
from liquid_nav.rotations import rotate, yaw_of
from liquid_nav.values import check_number

Vector = tuple[float, float, float, float]
Vector3 = tuple[float, float, float]


class Travel(NamedTuple):
    """How far the vehicle flew since the newest odometry, if it followed its commands.

    Attributes:
        up, down: largest distances flown along and against each axis of the world up to the last
            event, metres.
        speed: speed along each axis at the last event, m/s.
        hold: seconds since the last event.

    """

    up: Vector3 = (0.0, 0.0, 0.0)
    down: Vector3 = (0.0, 0.0, 0.0)
    speed: Vector3 = (0.0, 0.0, 0.0)
    hold: float = 0.0


STILL = Travel()
"""No motion."""


class Bounds(NamedTuple):
    """Velocities that a geofence allows at one time.

    Attributes:
        yaw: heading of the vehicle, radians.
        up, down: largest speeds along and against each axis of the world, m/s, none negative.

    """

    yaw: float
    up: Vector3
    down: Vector3

    def clamp(self, command: Vector) -> Vector:
        """Slow down the motion of a command, in the heading frame, that leads out of the box."""
        world = turned(self.yaw, command[:3])
        x, y, z = (min(max(v, -d), u) for v, d, u in zip(world, self.down, self.up, strict=True))
        return (*turned(-self.yaw, (x, y, z)), command[3])

    def share(self, start: Vector, end: Vector) -> float:
        """Return how far one may go from one command to another and stay inside, 0 to 1."""
        share = 1.0
        here, there = turned(self.yaw, start[:3]), turned(self.yaw, end[:3])
        for a, b, up, down in zip(here, there, self.up, self.down, strict=True):
            if b > max(a, up):
                share = min(share, max(up - a, 0.0) / (b - a))
            elif b < min(a, -down):
                share = min(share, max(a + down, 0.0) / (a - b))
        return share


@dataclass(frozen=True)
class Geofence:
    """A box in the world frame that the vehicle is kept inside while there is odometry.

    Attributes:
        low, high: corners, metres, world ENU; the lowest z is the minimum height.
        deceleration: m/s^2 with which the vehicle can surely brake in front of a wall.

    Raises:
        ConfigError: on a corner that is not three numbers, an empty box, or a deceleration that is
            not positive and finite.

    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    deceleration: float = 2.0

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            corner = getattr(self, name)
            if not isinstance(corner, (tuple, list)) or len(corner) != 3:
                raise ConfigError(f"geofence {name} must be three numbers, got {corner!r}")
            for value in corner:
                check_number(f"geofence {name}", value, ConfigError)
        check_number("geofence deceleration", self.deceleration, ConfigError)
        if not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ConfigError(f"geofence needs low < high on every axis, got {self}")
        if not 0 < self.deceleration < math.inf:
            raise ConfigError(
                f"geofence deceleration must be positive and finite, got {self.deceleration}"
            )

    def bounds(self, odometry: Odometry, age: float, travel: Travel = STILL) -> Bounds:
        """Velocities with which the vehicle can still stop at every wall.

        Outside the box, no velocity may lead further out, and every way back is allowed. The
        odometry is old: since then the vehicle came nearer to the wall, by the measured velocity or
        by the commands, whichever is more. Flight away from a wall is not counted.

        Args:
            odometry: the newest odometry.
            age: seconds since it was measured.
            travel: motion that the commands have caused since then.

        """
        up, down = [], []
        measured = rotate(odometry.orientation.tolist(), odometry.linear_velocity.tolist())
        for axis, position in enumerate(odometry.position.tolist()):
            flown, last = measured[axis] * age, travel.speed[axis]
            high, low = self.high[axis] - position, position - self.low[axis]
            up.append(self._fastest(high, flown, travel.up[axis], last, travel.hold))
            down.append(self._fastest(low, -flown, travel.down[axis], -last, travel.hold))
        return Bounds(heading(odometry, age), (up[0], up[1], up[2]), (down[0], down[1], down[2]))

    def _fastest(
        self, distance: float, measured: float, commanded: float, last: float, hold: float
    ) -> float:
        """Largest speed v towards a wall that was `distance` m away when odometry was measured.

        Since then the vehicle flew towards it, in metres: by the velocity of that time `measured`;
        by its commands `commanded` up to the last event, and then for `hold` s at a speed between
        that of the `last` command, m/s, and v.
        """
        if distance == math.inf:
            return math.inf
        a = self.deceleration
        room = 2 * a * (distance - max(measured, commanded + max(last, 0.0) * hold, 0.0))
        if room <= 0:
            return 0.0
        # v * hold + v^2 / 2a = what is left of the distance, solved for v without cancellation.
        left = 2 * a * (distance - max(commanded, 0.0))
        return min(math.sqrt(room), left / (a * hold + math.hypot(a * hold, math.sqrt(left))))


class Track:
    """Sums the motion in the world that commands have caused since the newest odometry."""

    def __init__(self) -> None:
        self._path: deque[tuple[int, Travel]] = deque()
        self._start = STILL

    def follow(self, stamp: int, velocity: Vector3, window: int) -> None:
        """Note a command that was given at an event.

        Args:
            stamp: time of the command, ns.
            velocity: its velocity in the world frame, m/s.
            window: how long it may be needed, ns.

        """
        up = down = (0.0, 0.0, 0.0)
        if self._path:
            then, last = self._path[-1]
            hold = (stamp - then) / SECOND
            # Between two events either of their commands bounds the speed.
            up = _added(last.up, list(map(max, last.speed, velocity)), hold)
            down = _added(last.down, [-v for v in map(min, last.speed, velocity)], hold)
        self._path.append((stamp, Travel(up, down, velocity)))
        while len(self._path) > 1 and stamp - self._path[1][0] > window:
            self._path.popleft()

    def locate(self, stamp: int) -> None:
        """Start the sum at `stamp` ns, the time of new odometry."""
        while len(self._path) > 1 and self._path[1][0] <= stamp:
            self._path.popleft()
        if not self._path:
            self._start = STILL
            return
        then, self._start = self._path[0]
        if len(self._path) > 1 and then < stamp:
            after, end = self._path[1]
            part = (stamp - then) / (after - then)
            up = [b - a for a, b in zip(self._start.up, end.up, strict=True)]
            down = [b - a for a, b in zip(self._start.down, end.down, strict=True)]
            self._start = Travel(
                _added(self._start.up, up, part), _added(self._start.down, down, part)
            )

    def travel(self, now: int) -> Travel:
        """Return the motion from the newest odometry to `now` ns."""
        if not self._path:
            return STILL
        then, last = self._path[-1]
        return Travel(
            _added(last.up, self._start.up, -1.0),
            _added(last.down, self._start.down, -1.0),
            last.speed,
            max(now - then, 0) / SECOND,
        )


def heading(odometry: Odometry, age: float) -> float:
    """Heading in radians `age` s after odometry was measured."""
    return yaw_of(odometry.orientation) + float(odometry.angular_velocity[2]) * age


def turned(yaw: float, vector: Vector3) -> Vector3:
    """Turn a velocity from the heading frame into the world frame."""
    c, s = math.cos(yaw), math.sin(yaw)
    x, y, z = vector
    return (c * x - s * y, s * x + c * y, z)


def _added(a: Vector3, b: Sequence[float], times: float) -> Vector3:
    return (a[0] + times * b[0], a[1] + times * b[1], a[2] + times * b[2])
