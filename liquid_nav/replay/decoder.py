"""From a recording's messages to the controller's events, by the code that serves live ones."""

from collections import defaultdict
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from liquid_nav.bags.records import Message
from liquid_nav.errors import LiquidNavError, ReplayError
from liquid_nav.events import Channel, Event
from liquid_nav.messages.camera import CameraAdapter, CameraSource, ImageOptions
from liquid_nav.messages.camera.depth import Depth
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
        kind = kind_of(why)
        self.count += 1
        self.reasons[kind] = self.reasons.get(kind, 0) + 1
        self.first.setdefault(kind, why)


def kind_of(text: str) -> str:
    """Replace the numbers in a text by `#`, so that texts that differ in them alone are one."""
    kind = "".join("#" if c.isdigit() else c for c in text)
    while "##" in kind:
        kind = kind.replace("##", "#")
    return kind


class EventDecoder:
    """Turns messages of a recording into events.

    Args:
        topics: the topic of each channel.
        camera: the policy's camera; None for a policy without one, which refuses images.
        info: the vehicle's calibration, ``sensor_msgs/CameraInfo`` by attribute; None when the
            images are taken to be the policy's.
        imu_rotation: from the IMU's frame to body FLU, shape (3, 3), or None for the identity.
        images: what the user says of the images.

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
        images: ImageOptions = ImageOptions(),  # noqa: B008
    ) -> None:
        self.refused: defaultdict[Channel, Refusals] = defaultdict(Refusals)
        self.seconds = 0.0
        self._setup = SensorSetup(
            imu_rotation=lambda frame_id: imu_rotation, depth=Depth(images.bits)
        )
        self._source: CameraSource | None = None
        if camera is not None:
            self._source = CameraSource(camera, topics.channels.get(Channel.CAMERA) or "", images)
            self._setup.camera = CameraAdapter(camera)
        if self._source is not None and info is not None:
            try:
                self._source.calibrate(info)
            except LiquidNavError as error:
                raise ReplayError(f"the camera cannot be calibrated: {error}") from error
            self._setup.camera = self._source.adapter
        self._channels = {name: channel for channel, name in topics.channels.items() if name}
        self._kinds: dict[tuple[str, str], EventMessage] = {}

    @property
    def adapter(self) -> CameraAdapter | None:
        """What turns images into the policy's; None for a policy without a camera."""
        adapter = self._setup.camera
        return adapter if isinstance(adapter, CameraAdapter) else None

    @property
    def covers(self) -> float | None:
        """Fraction of the policy's view that the camera sees; None without calibration."""
        return self.adapter.covers if self.adapter and self.adapter.calibrated else None

    @property
    def camera_warnings(self) -> tuple[str, ...]:
        """What is unusual about the images so far, in plain sentences."""
        return self._setup.camera_warnings

    def calibrate(self, info: Any) -> None:
        """Calibrate the camera by a recorded ``CameraInfo``, as in flight; a bad one is counted."""
        if self._source is None:
            return
        try:
            if self._source.calibrate(info):
                self._setup.camera = self._source.adapter
        except LiquidNavError as error:
            self.refused[Channel.CAMERA].add(str(error))
        except Exception as error:  # As in flight, no message, however odd, ends it.
            self.refused[Channel.CAMERA].add(f"{type(error).__name__}: {error}")

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
