"""From a recording's messages to the controller's events, by the code that serves live ones."""

from collections import defaultdict
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from liquid_nav.bags.records import Message
from liquid_nav.errors import LiquidNavError, ReplayError
from liquid_nav.events import Channel, Event
from liquid_nav.messages.camera import CameraAdapter
from liquid_nav.messages.plug import EventMessage, Rotation, SensorSetup, message_of
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.replay.topics import Topics


@dataclass
class Refusals:
    """Messages of one channel that became no event.

    Attributes:
        count: how many.
        reasons: how many for each reason; the numbers in a reason are replaced by `#`.
        first: the first message of error of each reason, with its numbers.

    """

    count: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, why: str) -> None:
        """Count one."""
        kind = "".join("#" if c.isdigit() else c for c in why)
        while "##" in kind:
            kind = kind.replace("##", "#")
        self.count += 1
        self.reasons[kind] = self.reasons.get(kind, 0) + 1
        self.first.setdefault(kind, why)


class EventDecoder:
    """Turns messages of a recording into events.

    Args:
        topics: the topic of each channel.
        camera: the policy's camera; None for a policy without one, which refuses images.
        info: the vehicle's calibration, ``sensor_msgs/CameraInfo`` by attribute; None when the
            images are taken to be the policy's.
        imu_rotation: from the IMU's frame to body FLU, shape (3, 3), or None for the identity.

    Attributes:
        refused: per channel, messages that became no event.
        seconds: wall time spent on decoding and adapting images.

    Raises:
        ReplayError: when `info` is not a calibration.

    """

    def __init__(
        self,
        topics: Topics,
        camera: PolicyCamera | None,
        info: Any | None,
        imu_rotation: Rotation | None,
    ) -> None:
        self.refused: defaultdict[Channel, Refusals] = defaultdict(Refusals)
        self.seconds = 0.0
        self._adapter: CameraAdapter | None = None
        if camera is not None:
            try:
                self._adapter = CameraAdapter(camera, info)
            except LiquidNavError as error:
                raise ReplayError(f"the camera cannot be calibrated: {error}") from error
        self._setup = SensorSetup(self._adapter, lambda frame_id: imu_rotation)
        self._channels = {name: channel for channel, name in topics.channels.items() if name}
        self._kinds: dict[tuple[str, str], EventMessage] = {}

    @property
    def covers(self) -> float | None:
        """Fraction of the policy's view that the camera sees; None without calibration."""
        adapter = self._adapter
        return adapter.covers if adapter is not None and adapter.calibrated else None

    def channel(self, message: Message) -> Channel | None:
        """Channel that a message belongs to, or None."""
        return self._channels.get(message.topic.name)

    def event(self, message: Message) -> Event | None:
        """Make an event of a message; None when it is refused, and counted, or of no channel."""
        topic = message.topic
        channel = self._channels.get(topic.name)
        if channel is None:
            return None
        begin = perf_counter() if channel == Channel.CAMERA else None
        try:
            kind = self._kinds.get((topic.name, topic.type))
            if kind is None:
                kind = message_of(channel, topic.type)
                self._kinds[(topic.name, topic.type)] = kind
            return kind.decode(message.content, message.time, self._setup)
        except LiquidNavError as error:
            self.refused[channel].add(str(error))
        except Exception as error:  # As in flight, no message, however odd, ends it.
            self.refused[channel].add(f"{type(error).__name__}: {error}")
        finally:
            if begin is not None:
                self.seconds += perf_counter() - begin
        return None
