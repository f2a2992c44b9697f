"""Policies by TorchScript, and how they become native ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.network import FoldedCamera, FoldedNetwork
from liquid_nav.onboard.policy import Policy
from liquid_nav.onboard.runtime import (
    Memory,
    NativeRuntime,
    RawCommand,
    Runtime,
    agrees,
    probe,
)
from liquid_nav.policy.network import CameraEncoder, PolicyNetwork


class ScriptedRuntime:
    """Evaluates by TorchScript.

    Networks that were scripted alike share their compiled graphs, those for training as well, which
    keep tensors for a backward pass and so refuse those of `torch.inference_mode`: gradients are
    merely off here.

    Args:
        network: a scripted `PolicyNetwork`.

    Attributes:
        network: the same.

    """

    def __init__(self, network: torch.jit.ScriptModule) -> None:
        self.network = network

    @torch.no_grad()
    def initial(self) -> Memory:
        """See `Runtime.initial`."""
        state, latch = self.network.initial(1)
        return Memory(state[0].numpy(), latch[0].numpy())

    @torch.no_grad()
    def on_camera(
        self, memory: Memory, dt: float, image: NDArray[np.uint8], age: float
    ) -> tuple[Memory, RawCommand]:
        """See `Runtime.on_camera`."""
        frame = torch.from_numpy(image.copy()[None])
        return _noted(
            self.network.on_camera(*_tensors(memory), _tensor([dt]), frame, _tensor([age]))
        )

    @torch.no_grad()
    def on_imu(
        self, memory: Memory, dt: float, sample: Sequence[float]
    ) -> tuple[Memory, RawCommand]:
        """See `Runtime.on_imu`."""
        return _noted(self.network.on_imu(*_tensors(memory), _tensor([dt]), _tensor([sample])))

    @torch.no_grad()
    def query(self, memory: Memory, dt: float) -> RawCommand:
        """See `Runtime.query`."""
        return _raw(self.network.query(*_tensors(memory), _tensor([dt])))

    @torch.no_grad()
    def time_constants(self, memory: Memory) -> list[float]:
        """See `Runtime.time_constants`."""
        state, latch = _tensors(memory)
        constants: list[float] = self.network.core.gates(latch, state)[1][0].tolist()
        return constants


@torch.no_grad()
def folded(network: PolicyNetwork) -> FoldedNetwork:
    """Fold a network. Later changes of it are not seen.

    Raises:
        ConfigError: if its core has no onboard form, see `RecurrentCell.fold`, or it is not on the
            CPU in float32.

    """
    core, camera, dense = network.core.fold(), folded_camera(network.camera), network.imu.dense
    # W (offset + scale s) + b, with offset and scale moved into W and b.
    weight, bias = dense.weight.double(), dense.bias.double()
    return FoldedNetwork(
        core,
        camera,
        _copied((weight * network.imu.scale).float()),
        _copied((weight @ network.imu.offset.double() + bias).float()),
        _copied(network.head.weight),
        _copied(network.head.bias),
        _copied(network.scale),
    )


def folded_camera(encoder: CameraEncoder) -> FoldedCamera:
    """Fold a camera encoder on the CPU. Later changes of it are not seen.

    Raises:
        ConfigError: where it is not in float32.

    """
    # Weight and bias of layer after layer, in the order in which they were made.
    parameters = tuple(map(_copied, encoder.state_dict().values()))
    return FoldedCamera(encoder.height, encoder.width, encoder.age_unit, parameters)


def folded_script(
    config: PolicyConfig, network: torch.jit.ScriptModule
) -> tuple[FoldedNetwork, NDArray[np.float64]]:
    """Fold a scripted network, and have TorchScript fly the probe.

    Raises:
        ConfigError: as `folded`, or on a network whose weights are not those of `config`.

    """
    held = network.state_dict()
    try:
        # Initial weights are drawn and thrown away: nobody's random numbers are to change by that.
        with torch.random.fork_rng(devices=()):
            ours = PolicyNetwork(config)
        # TorchScript also holds buffers that modules compute for themselves.
        ours.load_state_dict({name: held[name] for name in ours.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"a network of other weights: {error}") from error
    # What may run these few times only is not worth the memory that optimising it takes.
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        vouched = probe(ScriptedRuntime(network), config)
    return folded(ours), vouched


def make_policy(
    config: PolicyConfig, network: PolicyNetwork | torch.jit.ScriptModule, native: bool = True
) -> Policy:
    """Make the policy that flies of a network.

    The native kernel evaluates it where that gives the same commands, with the weights that the
    network has now; TorchScript does elsewhere.

    Args:
        config: architecture of the network.
        network: the network, already compiled (as a bundle holds it) or not.
        native: False to fly by TorchScript alone.

    """
    if not isinstance(network, torch.jit.ScriptModule):
        network = torch.jit.script(network.eval())
    return Policy(config, runtime_of(config, network) if native else ScriptedRuntime(network))


def load_scripted(path: Path, config: PolicyConfig) -> Policy:
    """Load the policy of a TorchScript file, ``policy.pt`` of a bundle.

    torch is left with one thread: more do not help a batch of one, and could change the order of
    its sums.

    Raises:
        BundleError: when the file does not hold a policy of this configuration.

    """
    torch.set_num_threads(1)
    try:
        network = torch.jit.load(str(path), map_location="cpu")
        return make_policy(config, network.eval())
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise BundleError(f"{path} is not a policy of its manifest: {error}") from error


def runtime_of(config: PolicyConfig, network: torch.jit.ScriptModule) -> Runtime:
    """Choose how a scripted network is evaluated: natively, where that gives the same commands."""
    try:
        arrays, vouched = folded_script(config, network)
        runtime = NativeRuntime(arrays)
    except ConfigError:
        return ScriptedRuntime(network)
    return runtime if agrees(runtime, config, vouched) else ScriptedRuntime(network)


def _copied(value: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value.detach().numpy().copy()
    return array


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
