"""Wirings: which synapses a cell has, drawn from a seed, and with which sign they start.

A wiring is a recipe: small, immutable, plain JSON. What it draws for a number of inputs is a pair
of matrices of polarities: +1 excitatory, -1 inhibitory, 0 no synapse. numpy's legacy generator
draws them, the stream of which is frozen for ever (NEP 19).
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

Polarities: TypeAlias = tuple[NDArray[np.int8], NDArray[np.int8]]
"""Sensory (N, I) and recurrent (N, N), both target by source."""


@dataclass(frozen=True)
class Wiring(ABC):
    """What every wiring has. Two that are equal draw the same synapses."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number N of neurons."""

    @property
    def layers(self) -> dict[str, range]:
        """Neurons of each layer by its name, in the order in which signals pass them."""
        return {"inter": range(self.size)}

    @abstractmethod
    def synapses(self, inputs: int) -> Polarities:
        """Draw the polarities of all synapses for `inputs` inputs, the same every time.

        Raises:
            ConfigError: where the wiring does not fit that many inputs.
        """

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types; `wiring_from_dict` inverts it."""
        return {"kind": type(self).__name__} | asdict(self)


@dataclass(frozen=True)
class FullyConnected(Wiring):
    """Every synapse there can be, two in three of them excitatory.

    Args:
        units: N, at least 1.
        self_connections: whether a neuron has a synapse onto itself.
        seed: of the polarities.
    """

    units: int
    self_connections: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(1, units=self.units)

    @property
    def size(self) -> int:
        """Number N of neurons."""
        return self.units

    def synapses(self, inputs: int) -> Polarities:
        """See `Wiring.synapses`."""
        _at_least(1, inputs=inputs)
        random = RandomState(self.seed)
        sensory = _signs(random, (self.units, inputs))
        recurrent = _signs(random, (self.units, self.units))
        if not self.self_connections:
            np.fill_diagonal(recurrent, 0)
        return sensory, recurrent


@dataclass(frozen=True)
class Random(Wiring):
    """Synapses at random, but none of the inputs without one.

    Args:
        units: N, at least 1.
        sparsity: share of the synapses that are not there, 0 to 1, without 1.
        seed: of the synapses and their polarities.
    """

    units: int
    sparsity: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(1, units=self.units)
        if not 0.0 <= self.sparsity < 1.0:
            raise ConfigError(f"sparsity must be in [0, 1), got {self.sparsity}")

    @property
    def size(self) -> int:
        """Number N of neurons."""
        return self.units

    def synapses(self, inputs: int) -> Polarities:
        """See `Wiring.synapses`."""
        _at_least(1, inputs=inputs)
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

    Neurons are numbered motor first, then command, then inter, so that a state's first entries
    are its outputs. Every neuron but a sensory one hears somebody, and every input, inter and
    command neuron is heard.

    Args:
        inter: number of inter neurons.
        command: number of command neurons.
        motor: number of motor neurons.
        sensory_fanout: inter neurons that each input reaches, at least.
        inter_fanout: command neurons that each inter neuron reaches, at least.
        recurrent_command: synapses drawn among the command neurons; the same may be drawn twice.
        motor_fanin: command neurons that each motor neuron hears, at least.
        seed: of the synapses and their polarities.

    Raises:
        ConfigError: on a count below 1 or a fan wider than the layer it goes to.
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
        _at_least(0, recurrent_command=counts.pop("recurrent_command"))
        _at_least(1, **counts)
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
        """Number N of neurons."""
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
        _at_least(1, inputs=inputs)
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
    """An `NCP` of given size and sparsity: four in ten of the neurons before the motors command.

    Args:
        units: N, at least `motor` + 2.
        motor: number of motor neurons, the outputs.
        sparsity: 0 to 1, without 1: the share of a layer that a neuron does not reach.
        seed: of the synapses and their polarities.

    Raises:
        ConfigError: on a value out of range.
    """

    units: int
    motor: int
    sparsity: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.sparsity < 1.0:
            raise ConfigError(f"sparsity must be in [0, 1), got {self.sparsity}")
        _at_least(1, motor=self.motor)
        _at_least(self.motor + 2, units=self.units)

    @property
    def size(self) -> int:
        """Number N of neurons."""
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
"""Wirings by the name under which their JSON calls them."""


def wiring_from_dict(data: Mapping[str, Any]) -> Wiring:
    """Build from what `Wiring.to_dict` gave.

    Raises:
        ConfigError: on a kind that is not in `WIRINGS`, or a missing, unknown or refused field.
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in WIRINGS:
        raise ConfigError(f"no wiring of kind {kind!r}; known are {', '.join(sorted(WIRINGS))}")
    try:
        return WIRINGS[kind](**fields)
    except TypeError as error:
        raise ConfigError(f"wiring {kind}: {error}") from error


def wiring_polarities(
    wiring: Wiring | Mapping[str, Any] | None, input_size: int, units: int
) -> tuple[Tensor, Tensor]:
    """Polarities, sensory (N, I) and recurrent (N, N), as float tensors; all ones without a wiring.

    Raises:
        ConfigError: where the wiring is not one, or is not of `units` neurons.
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
    """As `wiring_polarities`, but 1 for every synapse there is."""
    sensory, recurrent = wiring_polarities(wiring, input_size, units)
    return sensory.abs(), recurrent.abs()


def _fan(random: RandomState, sources: int, targets: int, fanout: int) -> NDArray[np.int8]:
    """Polarities (targets, sources): `fanout` targets of each source, and no target left out."""
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


def _at_least(least: int, **counts: int) -> None:
    for name, count in counts.items():
        if count < least:
            raise ConfigError(f"{name} must be at least {least}, got {count}")
