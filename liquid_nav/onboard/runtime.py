"""What evaluates a policy network in flight: one event at a time, no gradients.

Two runtimes compute the function of `PolicyNetwork`: `ScriptedRuntime`, by TorchScript, takes every
network; `NativeRuntime`, of numpy and the native kernel, takes a few microseconds for an event
where the other takes tens, and needs no torch. TorchScript vouches for it, see `agrees`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from liquid_nav.onboard.camera import NativeCamera
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.network import FoldedNetwork

RawCommand = tuple[float, float, float, float]
"""(vx, vy, vz, yaw_rate) as the head gives it, before the safety layer; m/s and rad/s."""

_AGREEMENT = 1e-4
"""Of the head's range: far above rounding, far below what a vehicle would feel."""


@dataclass(frozen=True, eq=False)
class Memory:
    """All that a policy remembers between events. Never modified in place.

    Attributes:
        state: of the liquid core, float32 of shape (S,).
        latch: newest features of each channel, float32 of shape (L,).

    """

    state: NDArray[np.float32]
    latch: NDArray[np.float32]


class Runtime(Protocol):
    """Evaluates one policy network; times in seconds, see `PolicyNetwork` for what is computed."""

    def initial(self) -> Memory:
        """Memory before any event."""

    def on_camera(
        self, memory: Memory, dt: float, image: NDArray[np.uint8], age: float
    ) -> tuple[Memory, RawCommand]:
        """Flow for `dt`, then latch a uint8 RGB frame (H, W, 3)."""

    def on_imu(
        self, memory: Memory, dt: float, sample: Sequence[float]
    ) -> tuple[Memory, RawCommand]:
        """Flow for `dt`, then latch rad/s, m/s^2 and age, 7 numbers."""

    def query(self, memory: Memory, dt: float) -> RawCommand:
        """Read the command `dt` after the last event; changes nothing."""

    def time_constants(self, memory: Memory) -> list[float]:
        """Time constant in seconds of every neuron of the core, N of them."""


class NativeRuntime:
    """Evaluates frames and the liquid core by the native kernel, what is left by numpy.

    One object belongs to one thread.

    Args:
        network: what is evaluated.

    Raises:
        ConfigError: where the native kernel is not there.

    """

    def __init__(self, network: FoldedNetwork) -> None:
        self._core = network.core.start()
        self._camera = NativeCamera(network.camera)
        self._initial = Memory(self._core.state.copy(), self._core.input.copy())
        self._imu_weight, self._imu_bias = network.imu_weight, network.imu_bias
        self._head_weight, self._head_bias = network.head_weight, network.head_bias
        self._scale = network.scale.tolist()
        self._units = network.core.units
        self._imu_at = self._units + network.camera.features

    def initial(self) -> Memory:
        """See `Runtime.initial`."""
        return self._initial

    def on_camera(
        self, memory: Memory, dt: float, image: NDArray[np.uint8], age: float
    ) -> tuple[Memory, RawCommand]:
        """See `Runtime.on_camera`."""
        known = self._flowed(memory, dt)
        known[self._units : self._imu_at] = self._camera(image, age)
        return self._noted(known)

    def on_imu(
        self, memory: Memory, dt: float, sample: Sequence[float]
    ) -> tuple[Memory, RawCommand]:
        """See `Runtime.on_imu`."""
        known = self._flowed(memory, dt)
        # For a handful of numbers `dot` takes half of the time of the operator.
        features = self._imu_weight.dot(np.array(sample, np.float32))
        features += self._imu_bias
        np.maximum(features, 0.0, out=known[self._imu_at :])
        return self._noted(known)

    def query(self, memory: Memory, dt: float) -> RawCommand:
        """See `Runtime.query`."""
        return self._read(self._flowed(memory, dt))

    def time_constants(self, memory: Memory) -> list[float]:
        """See `Runtime.time_constants`."""
        core = self._core
        core.state[:], core.input[:] = memory.state, memory.latch
        constants: list[float] = core.time_constants().tolist()
        return constants

    def _flowed(self, memory: Memory, dt: float) -> NDArray[np.float32]:
        """State `dt` later, and the latch, in one new array of (S + L,): what the head reads."""
        core = self._core
        core.state[:], core.input[:] = memory.state, memory.latch
        return np.concatenate((core.flow(dt), memory.latch))

    def _noted(self, known: NDArray[np.float32]) -> tuple[Memory, RawCommand]:
        return Memory(known[: self._units], known[self._units :]), self._read(known)

    def _read(self, known: NDArray[np.float32]) -> RawCommand:
        outputs = self._head_weight.dot(known)
        outputs += self._head_bias
        a, b, c, d = map(math.tanh, outputs.tolist())
        p, q, r, s = self._scale
        return (a * p, b * q, c * r, d * s)


def probe(runtime: Runtime, config: PolicyConfig) -> NDArray[np.float64]:
    """Commands (K, 4) of a short flight, as fractions of the head's range."""
    camera, memory, commands = config.camera, runtime.initial(), []
    shape = (camera.height, camera.width, 3)
    for k in range(4):
        # Noise by arithmetic, since it has to be the same under every version of numpy.
        place = np.arange(k * math.prod(shape), (k + 1) * math.prod(shape), dtype=np.uint64)
        image = (place * np.uint64(2654435761) >> np.uint64(13)).astype(np.uint8).reshape(shape)
        memory, command = runtime.on_camera(memory, 0.03, image, 0.05)
        commands.append(command)
        sample = [math.sin(1.7 * k + axis) * (1.0 if axis < 3 else 6.0) for axis in range(6)]
        memory, command = runtime.on_imu(memory, 0.005, [*sample, 0.004])
        commands += [command, runtime.query(memory, 0.01)]
    return np.array(commands) / config.limits.magnitude


def agrees(runtime: Runtime, config: PolicyConfig, vouched: NDArray[np.float64]) -> bool:
    """Whether a runtime flies the `probe` as TorchScript did, whose commands are `vouched`.

    What a network computes is one thing in TorchScript and another thing rewritten: a bundle of
    another version may hold something else than ours under the same names.
    """
    commands = probe(runtime, config)
    same_flight = commands.shape == vouched.shape
    # Written so that a command that is not a number does not agree.
    return same_flight and bool(np.abs(commands - vouched).max() < _AGREEMENT)
