"""What a mission is told, and what it tells."""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from liquid_nav.command import Command
from liquid_nav.controller import Health
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel, Event
from liquid_nav.mavlink.autopilots import LAND, RETURN
from liquid_nav.mission.checks import Check
from liquid_nav.onboard import PolicyCamera


class State(str, Enum):
    """Where a mission is."""

    CONNECTING = "connecting"
    CHECKING = "checking"
    ARMING = "arming"
    TAKING_OFF = "taking off"
    HANDING_OVER = "handing over"
    FLYING = "the policy flies"
    TAKING_BACK = "taking back"
    LANDING = "landing"
    OVER = "over"


class Outcome(str, Enum):
    """How a mission ended."""

    SUCCESS = "success"
    TIMEOUT = "the time is over"
    OPERATOR = "the operator ended it"
    BATTERY = "the battery is low"
    FAILSAFE = "the safety layer asked to land"
    REFUSED = "the vehicle was not armed"
    FAILED = "a step failed"
    LOST = "somebody else has the vehicle"


class Pilot(Protocol):
    """Gives the commands: a `liquid_nav.controller.Controller`."""

    @property
    def channels(self) -> frozenset[Channel]:
        """Channels that it reads."""
        ...

    @property
    def health(self) -> Health:
        """What it says about itself."""
        ...

    def reset(self) -> None:
        """Begin a flight."""
        ...

    def on_event(self, event: Event) -> None:
        """Take in a measurement at its arrival."""
        ...

    def command(self, now: int) -> Command:
        """Return the command at `now` ns."""
        ...


@dataclass(frozen=True)
class MissionConfig:
    """What to do.

    Attributes:
        height: metres above the ground at which the policy takes over.
        duration: seconds that the policy has.
        battery: fraction of 1; with less, the mission ends.
        ending: name of the mode in which it comes down: `LAND` here, or `RETURN` to where it began.
        needed: channels that the policy needs.
        camera: the policy's camera; None if it has none.
        goal: place to reach, metres east, north and up of where it began; None without one.
        radius: metres from the goal at which it is reached.
        settling: seconds for which the sensors are watched before arming.
        patience: seconds for each of connecting, taking off, landing and its other steps.

    Raises:
        ConfigError: on a value out of its range.

    """

    height: float = 1.5
    duration: float = 60.0
    battery: float = 0.25
    ending: str = LAND
    needed: frozenset[Channel] = frozenset({Channel.IMU})
    camera: PolicyCamera | None = None
    goal: tuple[float, float, float] | None = None
    radius: float = 0.5
    settling: float = 3.0
    patience: float = 60.0

    def __post_init__(self) -> None:
        for name in ("height", "duration", "radius", "settling", "patience"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ConfigError(f"{name} must be positive and finite, got {value}")
        if not 0 <= self.battery < 1:
            raise ConfigError(f"battery must be a fraction in [0, 1), got {self.battery}")
        if self.ending not in (LAND, RETURN):
            raise ConfigError(f"ending must be {LAND} or {RETURN}, got {self.ending!r}")
        if self.goal is not None and not all(map(math.isfinite, self.goal)):
            raise ConfigError(f"the goal must be three finite numbers, got {self.goal}")


@dataclass
class Result:
    """How a mission went.

    Attributes:
        outcome: how it ended.
        why: that in more words.
        checks: the checks before take-off.
        landed: whether it ended disarmed on the ground, as far as the autopilot says.

    """

    outcome: Outcome
    why: str = ""
    checks: list[Check] = field(default_factory=list)
    landed: bool = False
