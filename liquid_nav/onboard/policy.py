"""A policy as the controller uses it: it maps memory and event to memory and raw command."""

from collections.abc import Mapping

from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.runtime import Memory, RawCommand, Runtime
from liquid_nav.safety.freshness import Staleness


class Policy:
    """A policy network in flight: a batch of one, no gradients.

    One object belongs to one thread.

    Args:
        config: architecture of the network.
        runtime: evaluates the network.

    Attributes:
        channels: the channels that it reads.
        needed: those that it needs; it is trusted only while each of them is fresh. The others are
            optional, see `PolicyConfig.optional`.
        staleness: staleness of each channel if the settings of the safety layer have none, see
            `Encoder.staleness`.

    """

    channels: frozenset[Channel]
    needed: frozenset[Channel]
    staleness: Mapping[Channel, Staleness | None]

    def __init__(self, config: PolicyConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        self._encoders = config.by_channel
        self.channels, self.needed = frozenset(self._encoders), config.needed
        self.staleness = {channel: e.staleness for channel, e in self._encoders.items()}
        self._initial = runtime.initial()
        self._warm_up()

    def initial(self) -> Memory:
        """Memory before any event."""
        return self._initial

    def objection(self, event: Event) -> str:
        """Return why the policy cannot read this event; empty if it can, or ignores the channel."""
        encoder = self._encoders.get(event.channel)
        return "" if encoder is None else encoder.objection(event)

    def on_event(
        self, memory: Memory, event: Event, dt: int, age: int
    ) -> tuple[Memory, RawCommand]:
        """Flow for `dt` ns under the old latch, then latch `event`, `age` ns old.

        Returns the new memory and the raw command right after the event. Raises TypeError for an
        event of a channel that is not in `channels`.
        """
        encoder = self._encoders.get(event.channel)
        if encoder is None:
            raise TypeError(f"the policy does not read {type(event).__name__}")
        return self.runtime.on_event(
            memory, event.channel, dt / SECOND, encoder.measure(event), age / SECOND
        )

    def clear(self, memory: Memory, channel: Channel, dt: int) -> Memory:
        """Flow for `dt` ns under the old latch, then forget what an optional channel measured."""
        return self.runtime.clear(memory, channel, dt / SECOND)

    def query(self, memory: Memory, dt: int) -> RawCommand:
        """Raw command `dt` ns after the last event. Changes nothing."""
        return self.runtime.query(memory, dt / SECOND)

    def core_state(self, memory: Memory) -> tuple[list[float], list[float]]:
        """Return what the core's neurons show (N), and their time constants in seconds, for plots.

        The first list is `RecurrentCell.read` of the state: of an LSTM the output without the
        memory, of a transformer the newest token. The second one has N numbers too, or none if the
        cell has no time constants, as CfC, GRU, LSTM and transformer.
        """
        return self.runtime.core_state(memory)

    def _warm_up(self) -> None:
        # TorchScript specialises its graphs over the first calls; that must not happen in flight.
        for _ in range(4):
            for channel, encoder in self._encoders.items():
                memory, _ = self.runtime.on_event(
                    self._initial, channel, 0.0, encoder.example(0), 0.0
                )
                self.runtime.query(memory, 0.01)
            for channel in map(Channel, self.config.optional):
                self.runtime.clear(memory, channel, 0.01)
