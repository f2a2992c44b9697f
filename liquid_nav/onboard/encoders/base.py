"""The base of all encoders: how a policy reads the events of one channel, without torch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel, Event
from liquid_nav.safety.freshness import Staleness

Measurement = Sequence[float] | NDArray[Any]
"""What an encoder reads of one event: numbers, or an image."""


class OnboardEncoder(Protocol):
    """An encoder with its trained weights, evaluated by numpy or the native kernel."""

    def __call__(self, measurement: Any, age: float, /) -> NDArray[np.float32]:
        """Features (F,) of a measurement that is `age` seconds old; the next call may overwrite."""


LARGEST_LAYER = 4096
"""Features of an encoder, and channels of a convolution, at most, so that a damaged configuration
cannot ask for more memory than there is."""


@dataclass(frozen=True)
class Encoder(ABC):
    """How a policy reads one channel. A subclass is a frozen dataclass; its fields are JSON types.

    `measure` reads the numbers of an event; training stores them, and in flight the runtime gets
    them. The torch module at `torch_module` computes features from them. It is built from the
    encoder, and its ``fold()`` gives the arrays that `onboard` evaluates in flight.

    A package adds an encoder by an entry point of the group ``liquid_nav.encoders``, under `name`.

    Attributes:
        name: its name in the registry, by which a model bundle finds it again.
        event: type of the events that it reads, which declares the channel.
        torch_module: ``module:attribute`` of its torch module.
        staleness: when silence on the channel becomes a failsafe, where the settings of the safety
            layer do not say; None if the first measurement stays valid for ever.
        features: length of the encoded measurement, F.

    Raises:
        ConfigError: on a number of features below 1.

    """

    name: ClassVar[str]
    event: ClassVar[type[Event]]
    torch_module: ClassVar[str]
    staleness: ClassVar[Staleness | None] = Staleness(hover=0.5, land=2.0)

    features: int

    def __post_init__(self) -> None:
        if type(self.features) is not int or not 1 <= self.features <= LARGEST_LAYER:
            raise ConfigError(
                f"features of the encoder {self.name!r} must be an int of at least 1 and at most "
                f"{LARGEST_LAYER}, got {self.features!r}"
            )

    @property
    def channel(self) -> Channel:
        """The channel that it reads."""
        return self.event.channel

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of a measurement."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers of a measurement, as training stores them."""

    def objection(self, event: Event) -> str:
        """Return why this event of the channel cannot be read, or an empty string if it can."""
        if isinstance(event, self.event):
            return ""
        return f"the policy does not read {type(event).__name__}"

    @abstractmethod
    def measure(self, event: Any) -> Measurement:
        """Return the numbers of an event that the network reads, of shape `shape`."""

    @abstractmethod
    def mirrored(self, measurements: NDArray[Any]) -> NDArray[Any]:
        """Return measurements (K, *shape) as they would be with left and right swapped."""

    @abstractmethod
    def example(self, k: int) -> Measurement:
        """Return a plausible measurement, a different but fixed one for each k = 0, 1, 2, 3."""

    @abstractmethod
    def onboard(self, arrays: Mapping[str, NDArray[Any]]) -> OnboardEncoder:
        """Build the onboard encoder from the arrays of the torch module's ``fold()``.

        Raises:
            ConfigError: if these are not the arrays of an encoder with this configuration.

        """

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types with `name`; `ENCODERS` and `from_dict` convert back."""
        return {"encoder": self.name, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Encoder":
        """Build from what `to_dict` gave, without ``encoder``.

        Raises:
            ConfigError, TypeError, KeyError: on other fields, or values out of range.

        """
        return cls(**data)


def require_arrays(
    name: str, arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Check names, shapes and types of the folded arrays of an encoder.

    Raises:
        ConfigError: if one is wrong; it names the encoder and the first wrong array.

    """
    if arrays.keys() != shapes.keys():
        raise ConfigError(
            f"the folded encoder {name!r} must have the arrays {', '.join(shapes)}, "
            f"got {', '.join(arrays) or 'none'}"
        )
    for part, shape in shapes.items():
        array = arrays[part]
        if array.shape != shape or array.dtype != np.float32:
            raise ConfigError(
                f"{part} of the folded encoder {name!r} must be float32 {shape}, "
                f"got {array.dtype} {array.shape}"
            )
