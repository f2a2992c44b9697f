"""Policies that TorchScript evaluates, and their conversion to native ones."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.events import Channel
from liquid_nav.onboard.bundle import SCRIPT
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.encoders import Measurement
from liquid_nav.onboard.network import FoldedNetwork
from liquid_nav.onboard.policy import Policy
from liquid_nav.onboard.runtime import Memory, NativeRuntime, RawCommand, agrees, probe
from liquid_nav.policy.encoders import EncoderModule
from liquid_nav.policy.network import PolicyNetwork, current_names

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread meanwhile, and as many as before afterwards.

    More threads do not help a batch of one, and could change the order in which torch sums.
    """
    threads = torch.get_num_threads()
    try:
        if threads != 1:
            torch.set_num_threads(1)
        yield
    finally:
        if threads != 1:
            torch.set_num_threads(threads)


@contextlib.contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Set a network to evaluation meanwhile, and each of its modules to its mode afterwards."""
    training = [module for module in network.modules() if module.training]
    try:
        yield network.eval()
    finally:
        for module in training:
            module.training = True


class ScriptedRuntime:
    """Evaluates a policy network by TorchScript, in one thread.

    Networks that were scripted from the same types share their compiled graphs, even with networks
    in training. Those keep tensors for a backward pass and therefore refuse the tensors of
    `torch.inference_mode`, so only gradients are switched off here.

    Args:
        network: a scripted `PolicyNetwork`.

    Attributes:
        network: the same.

    """

    def __init__(self, network: torch.jit.ScriptModule) -> None:
        self.network = network
        # Bundles of format 1 have a method for each of their two channels.
        self._old = not hasattr(network, "on_event")

    @one_thread()
    @torch.no_grad()
    def initial(self) -> Memory:
        """See `Runtime.initial`."""
        state, latch = self.network.initial(1)
        return Memory(state[0].numpy(), latch[0].numpy())

    @one_thread()
    @torch.no_grad()
    def on_event(
        self, memory: Memory, channel: Channel, dt: float, measurement: Measurement, age: float
    ) -> tuple[Memory, RawCommand]:
        """See `Runtime.on_event`."""
        inputs = (*_tensors(memory), _tensor([dt]))
        if isinstance(measurement, np.ndarray):
            measured = torch.from_numpy(measurement.copy()[None])
        else:
            measured = _tensor([measurement])
        if not self._old:
            outputs = self.network.on_event(*inputs, channel, measured, _tensor([age]))
        elif channel == Channel.CAMERA:
            outputs = self.network.on_camera(*inputs, measured, _tensor([age]))
        else:
            outputs = self.network.on_imu(*inputs, _tensor([[*measurement, age]]))
        state, latch, command = outputs
        return Memory(state.numpy()[0], latch.numpy()[0]), _raw(command)

    @one_thread()
    @torch.no_grad()
    def clear(self, memory: Memory, channel: Channel, dt: float) -> Memory:
        """See `Runtime.clear`."""
        state, latch = self.network.clear(*_tensors(memory), _tensor([dt]), channel)
        return Memory(state.numpy()[0], latch.numpy()[0])

    @one_thread()
    @torch.no_grad()
    def query(self, memory: Memory, dt: float) -> RawCommand:
        """See `Runtime.query`."""
        return _raw(self.network.query(*_tensors(memory), _tensor([dt])))

    @one_thread()
    @torch.no_grad()
    def core_state(self, memory: Memory) -> tuple[list[float], list[float]]:
        """See `Policy.core_state`."""
        state, latch = _tensors(memory)
        core, constants = self.network.core, []
        if hasattr(core, "gates"):
            constants = core.gates(latch, state)[1][0].tolist()
        # The cells of format 1 show their whole state.
        shown = core.read(state) if hasattr(core, "read") else state
        return shown[0].tolist(), constants


@torch.no_grad()
def folded(network: PolicyNetwork) -> FoldedNetwork:
    """Fold a network. Later changes of the network do not change the result.

    Raises:
        ConfigError: if its core has no onboard form, see `RecurrentCell.fold`, or the network is
            not on the CPU in float32.

    """
    core = network.core.fold()
    if core is None:
        raise ConfigError(f"a {type(network.core).__name__} as it is set up has no onboard form")
    encoders: Iterable[tuple[str, EncoderModule]] = network.encoders.items()  # type: ignore[assignment]
    return FoldedNetwork(
        core,
        {Channel(name): encoder.fold() for name, encoder in encoders},
        head_weight=network.head_weight().numpy().copy(),
        head_bias=network.head.bias.detach().numpy().copy(),
        scale=network.scale.numpy().copy(),
    )


def folded_script(
    config: PolicyConfig, network: torch.jit.ScriptModule
) -> tuple[FoldedNetwork, NDArray[np.float64]]:
    """Fold a scripted network, and let TorchScript compute its commands on the `probe`.

    Raises:
        ConfigError: as `folded`, or if its weights are not those of a network of `config`.

    """
    weights = current_names(network.state_dict())
    try:
        # The initial weights are drawn at random; the caller's random numbers must not change.
        with torch.random.fork_rng(devices=()):
            unscripted = PolicyNetwork(config)
        # TorchScript also holds buffers that modules compute for themselves.
        unscripted.load_state_dict({name: weights[name] for name in unscripted.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"the weights do not fit the configuration: {error}") from error
    # Optimised execution would take memory, and the probe is short.
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        expected = probe(ScriptedRuntime(network), config)
    return folded(unscripted), expected


def make_policy(
    config: PolicyConfig, network: PolicyNetwork | torch.jit.ScriptModule, native: bool = True
) -> Policy:
    """Make the policy that flies from a network.

    The native kernel evaluates it if its commands are those of TorchScript; otherwise TorchScript
    evaluates it. The weights are those that the network has now. The network itself, in training or
    not, stays as it is.

    Args:
        config: architecture of the network.
        network: the network, already compiled (as a bundle holds it) or not.
        native: False to fly by TorchScript alone.

    """
    if not isinstance(network, torch.jit.ScriptModule):
        with evaluating(network):
            network = torch.jit.script(network)
    if native:
        try:
            return Policy(config, native_runtime(config, network))
        except ConfigError as error:
            logger.info("the native kernel cannot evaluate this network: %s", error)
    return Policy(config, ScriptedRuntime(network))


def native_runtime(config: PolicyConfig, network: torch.jit.ScriptModule) -> NativeRuntime:
    """Evaluate a scripted network natively, with the weights that it has now.

    Raises:
        ConfigError: if it cannot be folded, or its native commands differ.

    """
    arrays, expected = folded_script(config, network)
    runtime = NativeRuntime(config, arrays)
    if not agrees(runtime, config, expected):
        raise ConfigError("the native commands differ from those of TorchScript")
    return runtime


def load_folded(bundle: Path, config: PolicyConfig) -> NativeRuntime:
    """Fold the TorchScript file of a bundle, and evaluate the result natively.

    Raises:
        ConfigError: if it cannot be folded, or its native commands differ.
        BundleError: when the file does not hold a policy of this configuration.

    """
    return native_runtime(config, _load(bundle / SCRIPT))


def load_scripted(bundle: Path, config: PolicyConfig) -> ScriptedRuntime:
    """Evaluate the TorchScript file of a bundle by TorchScript.

    Raises:
        BundleError: when the file does not hold a policy of this configuration.

    """
    path = bundle / SCRIPT
    runtime = ScriptedRuntime(_load(path))
    try:
        probe(runtime, config)
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise BundleError(f"{path} is not a policy of its manifest: {error}") from error
    return runtime


def _load(path: Path) -> torch.jit.ScriptModule:
    try:
        network: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")
        return network.eval()
    except (RuntimeError, ValueError) as error:
        raise BundleError(f"{path} does not hold a network in TorchScript: {error}") from error


def _tensors(memory: Memory) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(memory.state[None]), torch.from_numpy(memory.latch[None])


def _tensor(numbers: Sequence[float] | Sequence[Sequence[float]]) -> torch.Tensor:
    # Through numpy: torch.tensor takes five times as long for a handful of numbers.
    return torch.from_numpy(np.array(numbers, np.float32))


def _raw(command: torch.Tensor) -> RawCommand:
    vx, vy, vz, yaw_rate = command.tolist()[0]
    return (vx, vy, vz, yaw_rate)
