"""A policy as the controller sees it: memory in, event in, memory and raw command out."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav.policy.config import PolicyConfig
from liquid_nav.policy.network import PolicyNetwork

RawCommand = tuple[float, float, float, float]
"""(vx, vy, vz, yaw_rate) as the head gives it, before the safety layer; m/s and rad/s."""


@dataclass(frozen=True, eq=False)
class Memory:
    """All that a policy remembers between events. Never modified in place.

    Attributes:
        state: of the liquid core, shape (1, S).
        latch: newest features of each channel, shape (1, L).

    """

    state: Tensor
    latch: Tensor


class Policy:
    """A policy network on the onboard path: batch of one, compiled by TorchScript, no gradients.

    Args:
        config: architecture of the network.
        network: the network, already compiled (as a bundle holds it) or not.

    """

    channels: frozenset[Channel] = frozenset({Channel.CAMERA, Channel.IMU})
    """Channels that the policy reads; it needs each of them alive to be trusted."""

    def __init__(
        self, config: PolicyConfig, network: PolicyNetwork | torch.jit.ScriptModule
    ) -> None:
        self.config = config
        if not isinstance(network, torch.jit.ScriptModule):
            network = torch.jit.script(network.eval())
        self.network = network
        with torch.inference_mode():
            self._initial = Memory(*network.initial(1))
        self._warm_up()

    def initial(self) -> Memory:
        """Memory before any event."""
        return self._initial

    def objection(self, event: Event) -> str:
        """Why the policy cannot read this event; empty when it can."""
        if isinstance(event, CameraFrame):
            height, width, _ = event.image.shape
            camera = self.config.camera
            if (width, height) != (camera.width, camera.height):
                return f"frame is {width}x{height}, the policy sees {camera.width}x{camera.height}"
        elif event.channel in self.channels and not isinstance(event, ImuSample):
            return f"the policy does not read {type(event).__name__}"
        return ""

    @torch.inference_mode()
    def on_event(
        self, memory: Memory, event: Event, dt: int, age: int
    ) -> tuple[Memory, RawCommand]:
        """Flow for `dt` ns under the old latch, then latch `event`, `age` ns old.

        Returns the new memory and the raw command right after the event. Raises TypeError for an
        event of a channel that is not in `channels`.
        """
        state, latch, elapsed = memory.state, memory.latch, _tensor([dt / SECOND])
        if isinstance(event, ImuSample):
            rates, force = event.angular_velocity.tolist(), event.specific_force.tolist()
            sample = _tensor([[*rates, *force, age / SECOND]])
            state, latch, command = self.network.on_imu(state, latch, elapsed, sample)
        elif isinstance(event, CameraFrame):
            frame, aged = torch.from_numpy(event.image.copy()[None]), _tensor([age / SECOND])
            state, latch, command = self.network.on_camera(state, latch, elapsed, frame, aged)
        else:
            raise TypeError(f"the policy does not read {type(event).__name__}")
        return Memory(state, latch), _raw(command)

    @torch.inference_mode()
    def query(self, memory: Memory, dt: int) -> RawCommand:
        """Raw command `dt` ns after the last event. Changes nothing."""
        return _raw(self.network.query(memory.state, memory.latch, _tensor([dt / SECOND])))

    @torch.no_grad()
    def core_state(self, memory: Memory) -> tuple[list[float], list[float]]:
        """State and time constant in seconds of every neuron of the core, N each, for plots."""
        # Copies are no inference tensors, which TorchScript refuses where the same code has been
        # specialised to gradients before, in this process.
        _, time_constant = self.network.core.gates(memory.latch.clone(), memory.state.clone())
        return memory.state[0].tolist(), time_constant[0].tolist()

    def _warm_up(self) -> None:
        # TorchScript specialises its graphs over the first calls; that must not happen in flight.
        camera = self.config.camera
        frame = CameraFrame(0, 0, np.zeros((camera.height, camera.width, 3), np.uint8))
        sample = ImuSample(0, 0, np.zeros(3), np.zeros(3))
        for _ in range(4):
            for event in (frame, sample):
                memory, _ = self.on_event(self._initial, event, 0, 0)
                self.query(memory, SECOND // 100)


def _tensor(numbers: list[float] | list[list[float]]) -> Tensor:
    # By way of numpy: torch.tensor takes five times as long over a handful of numbers.
    return torch.from_numpy(np.array(numbers, np.float32))


def _raw(command: Tensor) -> RawCommand:
    vx, vy, vz, yaw_rate = command.tolist()[0]
    return (vx, vy, vz, yaw_rate)
