"""Experts: they know the scene, and command what a good pilot would."""

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.events import Channel, Event
from liquid_nav.onboard import RawCommand
from liquid_nav_sim.world import World

LARGEST: RawCommand = (2.5, 1.4, 0.8, 1.5)
"""Largest command of an expert at the usual speeds, m/s and rad/s."""


class Expert(ABC):
    """Flies one task and labels flights of it.

    An expert must not use what no policy could know: a policy has the camera's frames and the IMU,
    and remembers. So what has never been in view does not draw an expert anywhere.

    Args:
        world: the world it may look into.

    Attributes:
        seen: whether what there is to fly to has been in view.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.reset()

    def reset(self) -> None:
        """Forget the last flight; call this after each reset of the world."""
        self.seen = True

    @property
    def speed(self) -> float:
        """How fast to fly, as a multiple of the usual speeds, see `Task.speed`."""
        return self.world.config.task.speed

    def within_limits(self, command: RawCommand) -> RawCommand:
        """Shorten a command to `LARGEST`, of which velocities scale with the speed."""
        vx, vy, vz, yaw_rate = command
        most, speed = LARGEST, self.speed
        return (
            clip(vx, speed * most[0]),
            clip(vy, speed * most[1]),
            clip(vz, speed * most[2]),
            clip(yaw_rate, most[3]),
        )

    def on_event(self, event: Event) -> None:  # noqa: B027
        """Take note of a measurement; most experts need none."""

    @abstractmethod
    def command(self) -> RawCommand:
        """Give the command for now: (vx, vy, vz, yaw_rate), m/s and rad/s, heading frame."""


class ExpertPilot:
    """Lets an expert fly in the place of a controller.

    Args:
        expert: who flies.

    Attributes:
        channels: none, since an expert looks into the world instead.

    """

    channels: frozenset[Channel] = frozenset()

    def __init__(self, expert: Expert) -> None:
        self._expert = expert

    def reset(self) -> None:
        """Begin a new flight, after a reset of the expert's world."""
        self._expert.reset()

    def on_event(self, event: Event) -> None:
        """Pass a measurement on to the expert."""
        self._expert.on_event(event)

    def command(self, now: int) -> Command:
        """Give the expert's command, stamped `now` ns."""
        return Command(now, *self._expert.command())


def wrap(angle: float) -> float:
    """Wrap an angle into [-pi, pi), radians."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def clip(value: float, magnitude: float) -> float:
    """Limit a value to [-magnitude, magnitude]."""
    return min(max(value, -magnitude), magnitude)


def facing(off: float) -> float:
    """Give the share of its speed with which to fly to what lies `off` radians from the heading.

    It falls from 1 to 0 at the edge of the view, so that nobody flies to what the camera does not
    show.
    """
    return min(max((1.4 - abs(off)) / 0.6, 0.0), 1.0)


def response_time(world: World) -> float:
    """Give the seconds after which a vehicle flies most of a new velocity.

    The loops of an autopilot are as fast as its motors allow.
    """
    return 8.0 * world.config.vehicle.motor_time_constant


def heading_frame(velocity: NDArray[np.float64], yaw: float) -> tuple[float, float]:
    """Rotate a horizontal world velocity (2,) into the frame of a heading: forward and left."""
    x, y = velocity.tolist()
    c, s = math.cos(yaw), math.sin(yaw)
    return c * x + s * y, c * y - s * x
