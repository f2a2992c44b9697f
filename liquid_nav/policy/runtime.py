"""What evaluates a policy network in flight: one event at a time, no gradients.

Two runtimes compute the function of `PolicyNetwork`: TorchScript, which takes every network, and
one of numpy and the native kernel, which takes a few microseconds for an event where TorchScript
takes tens. TorchScript is what a bundle holds and what vouches for the other, see `runtime_of`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import NativeStep
from liquid_nav.policy.config import PolicyConfig
from liquid_nav.policy.native_camera import NativeCamera
from liquid_nav.policy.network import PolicyNetwork

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


class ScriptedRuntime:
    """Evaluates by TorchScript.

    Networks that were scripted alike share their compiled graphs, those for training as well, which
    keep tensors for a backward pass and so refuse those of `torch.inference_mode`: gradients are
    merely off here.

    Args:
        network: a scripted `PolicyNetwork`.

    """

    def __init__(self, network: torch.jit.ScriptModule) -> None:
        self._network = network

    @torch.no_grad()
    def initial(self) -> Memory:
        """See `Runtime.initial`."""
        state, latch = self._network.initial(1)
        return Memory(state[0].numpy(), latch[0].numpy())

    @torch.no_grad()
    def on_camera(
        self, memory: Memory, dt: float, image: NDArray[np.uint8], age: float
    ) -> tuple[Memory, RawCommand]:
        """See `Runtime.on_camera`."""
        frame = torch.from_numpy(image.copy()[None])
        return _noted(
            self._network.on_camera(*_tensors(memory), _tensor([dt]), frame, _tensor([age]))
        )

    @torch.no_grad()
    def on_imu(
        self, memory: Memory, dt: float, sample: Sequence[float]
    ) -> tuple[Memory, RawCommand]:
        """See `Runtime.on_imu`."""
        return _noted(self._network.on_imu(*_tensors(memory), _tensor([dt]), _tensor([sample])))

    @torch.no_grad()
    def query(self, memory: Memory, dt: float) -> RawCommand:
        """See `Runtime.query`."""
        return _raw(self._network.query(*_tensors(memory), _tensor([dt])))


class NativeRuntime:
    """Evaluates frames and the liquid core by the native kernel, what is left by numpy.

    Weights are copied once, later changes of the network are not seen. One object belongs to one
    thread.

    Args:
        network: what is evaluated, on the CPU, in float32.

    Raises:
        ConfigError: where the core has no native step, see `NativeStep`.

    """

    @torch.no_grad()
    def __init__(self, network: PolicyNetwork) -> None:
        self._core = NativeStep(network.core)
        self._camera = NativeCamera(network.camera)
        self._initial = Memory(self._core.state.copy(), self._core.input.copy())
        # W (offset + scale s) + b, with offset and scale moved into W and b.
        dense = network.imu.dense
        weight, bias = dense.weight.double(), dense.bias.double()
        self._imu_weight = (weight * network.imu.scale).float().numpy()
        self._imu_bias = (weight @ network.imu.offset.double() + bias).float().numpy()
        self._head_weight = network.head.weight.numpy().copy()
        self._head_bias = network.head.bias.numpy().copy()
        self._scale = network.scale.tolist()
        self._units = network.core.units
        self._imu_at = self._units + network.camera_features

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


def runtime_of(config: PolicyConfig, network: torch.jit.ScriptModule) -> Runtime:
    """Choose how a scripted network is evaluated: natively, where that gives the same commands.

    A bundle of another version may hold a network that computes something else than ours under
    the same names. Commands after a frame, a sample and some time therefore have to agree.
    """
    scripted, held = ScriptedRuntime(network), network.state_dict()
    try:
        # Initial weights are drawn and thrown away: nobody's random numbers are to change by that.
        with torch.random.fork_rng(devices=()):
            ours = PolicyNetwork(config)
        # TorchScript also holds buffers that modules compute for themselves.
        ours.load_state_dict({name: held[name] for name in ours.state_dict()})
        native = NativeRuntime(ours)
    except (ConfigError, KeyError, RuntimeError):
        return scripted
    # What may run these few times only is not worth the memory that optimising it takes.
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        vouched = _probe(scripted, config)
    apart = np.abs(_probe(native, config) - vouched).max()
    return native if apart < _AGREEMENT else scripted


def _probe(runtime: Runtime, config: PolicyConfig) -> NDArray[np.float64]:
    """Commands (K, 4) of a short flight, as fractions of the head's range."""
    camera, rng = config.camera, np.random.default_rng(0)
    memory, commands = runtime.initial(), []
    for _ in range(4):
        image = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        memory, command = runtime.on_camera(memory, 0.03, image, 0.05)
        commands.append(command)
        sample = [*rng.normal(0.0, 1.0, 3), *rng.normal(0.0, 3.0, 3), 0.004]
        memory, command = runtime.on_imu(memory, 0.005, sample)
        commands += [command, runtime.query(memory, 0.01)]
    return np.array(commands) / config.limits.magnitude


def _tensors(memory: Memory) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(memory.state[None]), torch.from_numpy(memory.latch[None])


def _tensor(numbers: Sequence[float] | Sequence[Sequence[float]]) -> torch.Tensor:
    # By way of numpy: torch.tensor takes five times as long over a handful of numbers.
    return torch.from_numpy(np.array(numbers, np.float32))


def _noted(
    outputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> tuple[Memory, RawCommand]:
    state, latch, command = outputs
    return Memory(state.numpy()[0], latch.numpy()[0]), _raw(command)


def _raw(command: torch.Tensor) -> RawCommand:
    vx, vy, vz, yaw_rate = command.tolist()[0]
    return (vx, vy, vz, yaw_rate)
