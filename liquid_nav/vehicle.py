"""What a vehicle must offer to be flown by a pilot.

The boundary is as small as LeRobot's for hardware: what the vehicle has, known before connecting,
and `connect`, `events`, `command`, `disconnect`. A simulator that we did not write, a real drone
on ROS 2 (`liquid_nav.ros.vehicle`) and our own simulator (`liquid_nav.evaluation.home`) fit it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel, Event
from liquid_nav.onboard import PolicyCamera
from liquid_nav.values import is_number


@dataclass(frozen=True)
class Equipment:
    """What a vehicle has; known before anything is connected.

    Attributes:
        rates: measurements a second of each channel that the vehicle measures.
        command_rate: how often it takes a new command, Hz; of those that come between, the newest.
        camera: size and lens of its frames; None without a camera.

    Raises:
        ConfigError: on a rate that is not positive, or frames without a camera.

    """

    rates: Mapping[Channel, float]
    command_rate: float
    camera: PolicyCamera | None = field(default_factory=PolicyCamera)

    def __post_init__(self) -> None:
        for name, rate in (*self.rates.items(), ("command_rate", self.command_rate)):
            if not (is_number(rate) and 0 < rate < float("inf")):
                raise ConfigError(f"the rate of {name} must be a positive number of Hz, got {rate}")
        if Channel.CAMERA in self.rates and self.camera is None:
            raise ConfigError("equipment that measures the channel camera must name its camera")


class Vehicle(ABC):
    """One vehicle, from `connect` to `disconnect`. In a ``with`` block it does both by itself."""

    @property
    @abstractmethod
    def equipment(self) -> Equipment:
        """What the vehicle has."""

    @abstractmethod
    def connect(self) -> None:
        """Open the connection, and begin a flight in hover."""

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """Yield each measurement when it arrives, until the flight is over.

        Stamps and arrivals are ns on one clock, arrivals never decrease, and vectors are in the
        body frame FLU. The vehicle flies on while the next event is waited for.
        """

    @abstractmethod
    def command(self, command: Command) -> None:
        """Take a command in the heading frame; the vehicle follows the newest one."""

    @abstractmethod
    def disconnect(self) -> None:
        """Release everything that `connect` took; no harm without or after it."""

    def __enter__(self) -> "Vehicle":
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()
