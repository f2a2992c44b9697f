"""A policy as the controller sees it: memory in, event in, memory and raw command out."""

import numpy as np

from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.runtime import Memory, RawCommand, Runtime


class Policy:
    """A policy network on the onboard path: batch of one, no gradients.

    One object belongs to one thread.

    Args:
        config: architecture of the network.
        runtime: what evaluates it.

    """

    channels: frozenset[Channel] = frozenset({Channel.CAMERA, Channel.IMU})
    """Channels that the policy reads; it needs each of them alive to be trusted."""

    def __init__(self, config: PolicyConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        self._initial = runtime.initial()
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

    def on_event(
        self, memory: Memory, event: Event, dt: int, age: int
    ) -> tuple[Memory, RawCommand]:
        """Flow for `dt` ns under the old latch, then latch `event`, `age` ns old.

        Returns the new memory and the raw command right after the event. Raises TypeError for an
        event of a channel that is not in `channels`.
        """
        if isinstance(event, ImuSample):
            rates, force = event.angular_velocity.tolist(), event.specific_force.tolist()
            return self.runtime.on_imu(memory, dt / SECOND, [*rates, *force, age / SECOND])
        if isinstance(event, CameraFrame):
            return self.runtime.on_camera(memory, dt / SECOND, event.image, age / SECOND)
        raise TypeError(f"the policy does not read {type(event).__name__}")

    def query(self, memory: Memory, dt: int) -> RawCommand:
        """Raw command `dt` ns after the last event. Changes nothing."""
        return self.runtime.query(memory, dt / SECOND)

    def core_state(self, memory: Memory) -> tuple[list[float], list[float]]:
        """State and time constant in seconds of every neuron of the core, N each, for plots."""
        return memory.state.tolist(), self.runtime.time_constants(memory)

    def _warm_up(self) -> None:
        # TorchScript specialises its graphs over the first calls; that must not happen in flight.
        camera = self.config.camera
        frame = CameraFrame(0, 0, np.zeros((camera.height, camera.width, 3), np.uint8))
        sample = ImuSample(0, 0, np.zeros(3), np.zeros(3))
        for _ in range(4):
            for event in (frame, sample):
                memory, _ = self.on_event(self._initial, event, 0, 0)
                self.query(memory, SECOND // 100)
