"""Privileged experts: they know the scene, and ask what a pilot could do."""

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.events import Channel, Event
from liquid_nav.onboard import RawCommand
from liquid_nav_sim.world import World


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
        """Forget the last flight; call it after the world's reset."""
        self.seen = True

    def on_event(self, event: Event) -> None:  # noqa: B027
        """Learn from a measurement; most experts need not."""

    @abstractmethod
    def command(self) -> RawCommand:
        """What to do now: (vx, vy, vz, yaw_rate), m/s and rad/s, heading frame."""


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
        """Begin the flight that the expert's world has been reset to."""
        self._expert.reset()

    def on_event(self, event: Event) -> None:
        """Hand a measurement on."""
        self._expert.on_event(event)

    def command(self, now: int) -> Command:
        """The expert's command, stamped `now` ns."""
        return Command(now, *self._expert.command())


def wrap(angle: float) -> float:
    """Bring an angle into [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def clip(value: float, magnitude: float) -> float:
    """Bring a value into [-magnitude, magnitude]."""
    return min(max(value, -magnitude), magnitude)


def heading_frame(velocity: NDArray[np.float64], yaw: float) -> tuple[float, float]:
    """Turn a level velocity (2,) of the world into the frame of a heading: forward and left."""
    x, y = velocity.tolist()
    c, s = math.cos(yaw), math.sin(yaw)
    return c * x + s * y, c * y - s * x
