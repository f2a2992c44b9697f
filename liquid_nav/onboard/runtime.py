"""Runtimes evaluate a policy network in flight: one event at a time, no gradients.

Two runtimes compute the function of `PolicyNetwork`. `ScriptedRuntime` uses TorchScript and
evaluates every network. `NativeRuntime` uses NumPy and the native kernel: it takes a few
microseconds for an event instead of tens and needs no torch. It flies only if its commands agree
with those of TorchScript, see `agrees`.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import Channel
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.encoders import Measurement
from liquid_nav.onboard.network import FoldedNetwork

RawCommand = tuple[float, float, float, float]
"""(vx, vy, vz, yaw_rate) as the head gives it, before the safety layer; m/s and rad/s."""

_AGREEMENT = 1e-4
"""Largest difference, as a fraction of the head's range: above rounding, too small to matter."""


@dataclass(frozen=True, eq=False)
class Memory:
    """All that a policy remembers between events. Never modified in place.

    Attributes:
        state: state of the liquid core, float32, shape (S,).
        latch: newest features of each channel, float32, shape (L,).

    """

    state: NDArray[np.float32]
    latch: NDArray[np.float32]


class Runtime(Protocol):
    """Evaluates one policy network, see `PolicyNetwork` for its function; times in seconds."""

    def initial(self) -> Memory:
        """Memory before any event."""

    def on_event(
        self, memory: Memory, channel: Channel, dt: float, measurement: Measurement, age: float
    ) -> tuple[Memory, RawCommand]:
        """Flow for `dt`, then latch what the encoder of `channel` measured, `age` old."""

    def clear(self, memory: Memory, channel: Channel, dt: float) -> Memory:
        """Flow for `dt`, then set the features of an optional channel in the latch to zero."""

    def query(self, memory: Memory, dt: float) -> RawCommand:
        """Read the command `dt` after the last event; changes nothing."""

    def core_state(self, memory: Memory) -> tuple[list[float], list[float]]:
        """See `Policy.core_state`."""


class NativeRuntime:
    """Evaluates frames and the liquid core with the native kernel, and the rest with NumPy.

    One object belongs to one thread.

    Args:
        config: architecture of the network.
        network: the network to evaluate.

    Raises:
        ConfigError: if the native kernel is missing, or the sizes are not those of `config`.

    """

    def __init__(self, config: PolicyConfig, network: FoldedNetwork) -> None:
        network.check(config)
        self._core = network.core.start()
        self._initial = Memory(self._core.state.copy(), self._core.input.copy())
        self._head_weight, self._head_bias = network.head_weight, network.head_bias
        self._scale = network.scale.tolist()
        units = self._units = network.core.units
        by_channel = config.by_channel
        # The encoder of each channel, and where its features are in state and latch.
        self._encoders = {
            channel: (
                by_channel[channel].onboard(network.encoders[channel]),
                slice(units + place.start, units + place.stop),
            )
            for channel, place in config.layout.items()
        }

    def initial(self) -> Memory:
        """See `Runtime.initial`."""
        return self._initial

    def on_event(
        self, memory: Memory, channel: Channel, dt: float, measurement: Measurement, age: float
    ) -> tuple[Memory, RawCommand]:
        """See `Runtime.on_event`."""
        known = self._flowed(memory, dt)
        encode, place = self._encoders[channel]
        known[place] = encode(measurement, age)
        return Memory(known[: self._units], known[self._units :]), self._read(known)

    def clear(self, memory: Memory, channel: Channel, dt: float) -> Memory:
        """See `Runtime.clear`."""
        known = self._flowed(memory, dt)
        known[self._encoders[channel][1]] = 0.0
        return Memory(known[: self._units], known[self._units :])

    def query(self, memory: Memory, dt: float) -> RawCommand:
        """See `Runtime.query`."""
        return self._read(self._flowed(memory, dt))

    def core_state(self, memory: Memory) -> tuple[list[float], list[float]]:
        """See `Policy.core_state`."""
        core = self._core
        core.state[:], core.input[:] = memory.state, memory.latch
        return memory.state.tolist(), core.time_constants().tolist()

    def _flowed(self, memory: Memory, dt: float) -> NDArray[np.float32]:
        """State `dt` later, and the latch, in one new array of (S + L,): what the head reads."""
        core = self._core
        core.state[:], core.input[:] = memory.state, memory.latch
        return np.concatenate((core.flow(dt), memory.latch))

    def _read(self, known: NDArray[np.float32]) -> RawCommand:
        outputs = self._head_weight.dot(known)
        outputs += self._head_bias
        a, b, c, d = map(math.tanh, outputs.tolist())
        p, q, r, s = self._scale
        return (a * p, b * q, c * r, d * s)


def probe(runtime: Runtime, config: PolicyConfig) -> NDArray[np.float64]:
    """Commands (K, 4) of a short flight of examples, as fractions of the head's range."""
    memory, commands = runtime.initial(), []
    for k in range(4):
        for channel, encoder in config.by_channel.items():
            # Images arrive less often than numbers, and with more latency.
            dt, age = (0.03, 0.05) if len(encoder.shape) > 1 else (0.005, 0.004)
            memory, command = runtime.on_event(memory, channel, dt, encoder.example(k), age)
            commands.append(command)
        commands.append(runtime.query(memory, 0.01))
        for channel in map(Channel, config.optional):
            memory = runtime.clear(memory, channel, 0.01)
            commands.append(runtime.query(memory, 0.01))
    return np.array(commands) / config.limits.magnitude


def agrees(runtime: Runtime, config: PolicyConfig, expected: NDArray[np.float64]) -> bool:
    """Whether a runtime gives the commands on the `probe` that TorchScript gave, `expected`.

    The two are separate implementations, and a bundle of another version may compute another
    function with arrays of the same names.
    """
    commands = probe(runtime, config)
    same_flight = commands.shape == expected.shape
    # Written so that NaN does not agree.
    return same_flight and bool(np.abs(commands - expected).max() < _AGREEMENT)
