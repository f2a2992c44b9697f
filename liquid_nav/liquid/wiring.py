"""Wirings: which synapses a cell has, and the sign with which each starts, drawn from a seed.

A wiring is a recipe: small, immutable, plain JSON. For a number of inputs it draws a pair of
matrices of polarities: +1 excitatory, -1 inhibitory, 0 no synapse. It uses numpy's legacy
generator, since the stream of that one is guaranteed never to change (NEP 19).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.options import check_counts, check_flags, check_numbers

Polarities: TypeAlias = tuple[NDArray[np.int8], NDArray[np.int8]]
"""Sensory (N, I) and recurrent (N, N), both target by source."""


@dataclass(frozen=True)
class Wiring(ABC):
    """The interface of every wiring. Equal wirings draw the same synapses."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number N of neurons."""

    @property
    def layers(self) -> dict[str, range]:
        """The neurons of each layer by its name, in the order in which signals pass."""
        return {"inter": range(self.size)}

    @abstractmethod
    def synapses(self, inputs: int) -> Polarities:
        """Draw the polarities of all synapses for `inputs` inputs; the same every time.

        Raises:
            ConfigError: if the wiring does not fit that many inputs.
        """

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types; `wiring_from_dict` is the inverse."""
        return {"kind": type(self).__name__} | asdict(self)


@dataclass(frozen=True)
class FullyConnected(Wiring):
    """Every possible synapse, two thirds of them excitatory.

    Args:
        units: the number of neurons N, at least 1.
        self_connections: whether each neuron has a synapse onto itself.
        seed: the seed of the polarities.
    """

    units: int
    self_connections: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(units=self.units)
        check_flags(self_connections=self.self_connections)
        _check_seed(self.seed)

    @property
    def size(self) -> int:
        """The number N of neurons."""
        return self.units

    def synapses(self, inputs: int) -> Polarities:
        """See `Wiring.synapses`."""
        check_counts(inputs=inputs)
        random = RandomState(self.seed)
        sensory = _signs(random, (self.units, inputs))
        recurrent = _signs(random, (self.units, self.units))
        if not self.self_connections:
            np.fill_diagonal(recurrent, 0)
        return sensory, recurrent


@dataclass(frozen=True)
class Random(Wiring):
    """Random synapses, at least one from each input.

    Args:
        units: the number of neurons N, at least 1.
        sparsity: the share of synapses that do not exist, from 0 to less than 1.
        seed: the seed of the synapses and their polarities.
    """

    units: int
    sparsity: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(units=self.units)
        _check_seed(self.seed)
        check_numbers(sparsity=self.sparsity)
        if not 0.0 <= self.sparsity < 1.0:
            raise ConfigError(f"sparsity must be in [0, 1), got {self.sparsity}")

    @property
    def size(self) -> int:
        """The number N of neurons."""
        return self.units

    def synapses(self, inputs: int) -> Polarities:
        """See `Wiring.synapses`."""
        check_counts(inputs=inputs)
        random = RandomState(self.seed)
        sensory = self._draw(random, inputs)
        for source in np.flatnonzero(~sensory.any(0)):
            sensory[random.randint(self.units), source] = 1
        return sensory, self._draw(random, self.units)

    def _draw(self, random: RandomState, sources: int) -> NDArray[np.int8]:
        matrix = _signs(random, (self.units, sources))
        absent = round(self.sparsity * matrix.size)
        matrix.flat[random.permutation(matrix.size)[:absent]] = 0
        return matrix


@dataclass(frozen=True)
class NCP(Wiring):
    """A neural circuit policy (Lechner et al. 2020): sensory, inter, command, motor.

    Neurons are numbered motor first, then command, then inter, so that the first entries of a
    state are its outputs. Every neuron has a synapse onto it, and every input, inter and command
    neuron has a synapse onto another.

    Args:
        inter: the number of inter neurons.
        command: the number of command neurons.
        motor: the number of motor neurons.
        sensory_fanout: how many inter neurons each input reaches at least.
        inter_fanout: how many command neurons each inter neuron reaches at least.
        recurrent_command: how many synapses are drawn among the command neurons; the same one may
            be drawn twice.
        motor_fanin: how many command neurons reach each motor neuron at least.
        seed: the seed of the synapses and their polarities.

    Raises:
        ConfigError: if a count is below 1, or a neuron would reach more neurons than a layer has.
    """

    inter: int
    command: int
    motor: int
    sensory_fanout: int
    inter_fanout: int
    recurrent_command: int
    motor_fanin: int
    seed: int = 0

    def __post_init__(self) -> None:
        counts = {name: value for name, value in asdict(self).items() if name != "seed"}
        check_counts(0, recurrent_command=counts.pop("recurrent_command"))
        check_counts(**counts)
        _check_seed(self.seed)
        for fan, layer in (
            ("sensory_fanout", "inter"),
            ("inter_fanout", "command"),
            ("motor_fanin", "command"),
        ):
            if counts[fan] > counts[layer]:
                raise ConfigError(
                    f"{fan} {counts[fan]} is more than the {counts[layer]} {layer} neurons"
                )

    @property
    def size(self) -> int:
        """The number N of neurons."""
        return self.inter + self.command + self.motor

    @property
    def layers(self) -> dict[str, range]:
        """See `Wiring.layers`."""
        first = self.motor + self.command
        return {
            "inter": range(first, self.size),
            "command": range(self.motor, first),
            "motor": range(self.motor),
        }

    def synapses(self, inputs: int) -> Polarities:
        """See `Wiring.synapses`."""
        check_counts(inputs=inputs)
        random = RandomState(self.seed)
        sensory = np.zeros((self.size, inputs), np.int8)
        recurrent = np.zeros((self.size, self.size), np.int8)
        inter, command, motor = (np.array(layer) for layer in self.layers.values())
        sensory[inter] = _fan(random, inputs, self.inter, self.sensory_fanout)
        recurrent[np.ix_(command, inter)] = _fan(
            random, self.inter, self.command, self.inter_fanout
        )
        recurrent[np.ix_(motor, command)] = _fan(
            random, self.motor, self.command, self.motor_fanin
        ).T
        for target, source in random.choice(command, (self.recurrent_command, 2)):
            recurrent[target, source] = random.choice((-1, 1))
        return sensory, recurrent


@dataclass(frozen=True)
class AutoNCP(Wiring):
    """An `NCP` of given size and sparsity, in which 40 % of the other neurons are command neurons.

    Args:
        units: the number of neurons N, at least `motor` + 2.
        motor: the number of motor neurons, the outputs.
        sparsity: the share of a layer that a neuron does not reach, from 0 to less than 1.
        seed: the seed of the synapses and their polarities.

    Raises:
        ConfigError: if a value is out of range.
    """

    units: int
    motor: int
    sparsity: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(sparsity=self.sparsity)
        if not 0.0 <= self.sparsity < 1.0:
            raise ConfigError(f"sparsity must be in [0, 1), got {self.sparsity}")
        check_counts(motor=self.motor)
        check_counts(self.motor + 2, units=self.units)
        _check_seed(self.seed)

    @property
    def size(self) -> int:
        """The number N of neurons."""
        return self.units

    @property
    def layers(self) -> dict[str, range]:
        """See `Wiring.layers`."""
        return self._ncp().layers

    def synapses(self, inputs: int) -> Polarities:
        """See `Wiring.synapses`."""
        return self._ncp().synapses(inputs)

    def _ncp(self) -> NCP:
        command = max(1, int(0.4 * (self.units - self.motor)))
        inter = self.units - self.motor - command
        density = 1.0 - self.sparsity
        reach = max(1, int(command * density))
        return NCP(
            inter=inter,
            command=command,
            motor=self.motor,
            sensory_fanout=max(1, int(inter * density)),
            inter_fanout=reach,
            recurrent_command=max(1, int(2 * command * density)),
            motor_fanin=reach,
            seed=self.seed,
        )


WIRINGS: dict[str, type[Wiring]] = {
    kind.__name__: kind for kind in (AutoNCP, FullyConnected, NCP, Random)
}
"""Wirings by the `kind` in their JSON."""


def wiring_from_dict(data: Mapping[str, Any]) -> Wiring:
    """Build a wiring from what `Wiring.to_dict` gave.

    Raises:
        ConfigError: if `WIRINGS` does not have its kind, or a field is missing, unknown or invalid.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"a wiring must be a Wiring, or what its to_dict gives, got {data!r}")
    fields = dict(data)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in WIRINGS:
        raise ConfigError(
            f"there is no wiring of kind {kind!r}; choose one of {', '.join(sorted(WIRINGS))}"
        )
    try:
        return WIRINGS[kind](**fields)
    except TypeError as error:
        raise ConfigError(f"wiring {kind}: {error}") from error


def wiring_polarities(
    wiring: Wiring | Mapping[str, Any] | None, input_size: int, units: int
) -> tuple[Tensor, Tensor]:
    """Give the polarities, sensory (N, I) and recurrent (N, N), as floats; ones without a wiring.

    Raises:
        ConfigError: if the wiring is not valid, or does not have `units` neurons.
    """
    if wiring is None:
        return torch.ones(units, input_size), torch.ones(units, units)
    if not isinstance(wiring, Wiring):
        wiring = wiring_from_dict(wiring)
    if wiring.size != units:
        raise ConfigError(f"a wiring of {wiring.size} neurons does not fit a cell of {units} units")
    dtype = torch.get_default_dtype()
    sensory, recurrent = wiring.synapses(input_size)
    return torch.from_numpy(sensory).to(dtype), torch.from_numpy(recurrent).to(dtype)


def wiring_masks(
    wiring: Wiring | Mapping[str, Any] | None, input_size: int, units: int
) -> tuple[Tensor, Tensor]:
    """Like `wiring_polarities`, but 1 for every synapse that exists."""
    sensory, recurrent = wiring_polarities(wiring, input_size, units)
    return sensory.abs(), recurrent.abs()


def _fan(random: RandomState, sources: int, targets: int, fanout: int) -> NDArray[np.int8]:
    """Draw polarities (targets, sources): `fanout` targets a source, and no target left out."""
    matrix = np.zeros((targets, sources), np.int8)
    for source in range(sources):
        matrix[random.permutation(targets)[:fanout], source] = 1
    fanin = min(max(1, sources * fanout // targets), sources)
    for target in np.flatnonzero(~matrix.any(1)):
        matrix[target, random.permutation(sources)[:fanin]] = 1
    signed: NDArray[np.int8] = matrix * random.choice(np.array((-1, 1), np.int8), matrix.shape)
    return signed


def _signs(random: RandomState, shape: tuple[int, int]) -> NDArray[np.int8]:
    signs: NDArray[np.int8] = random.choice(np.array((-1, 1, 1), np.int8), shape)
    return signs


def _check_seed(seed: Any) -> None:
    check_counts(0, 2**32 - 1, seed=seed)
