"""Record the events and commands of a controller, as ``ros2 bag`` on a vehicle would.

`liquid_nav.replay` reads back the same events, bit for bit: images are raw, stamps are in headers
and arrivals are log times. Each channel has its own topic, see
`liquid_nav.messages.plug.WritableMessage`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from liquid_nav.command import Command
from liquid_nav.events import Channel, Event
from liquid_nav.files import WholeFile
from liquid_nav.messages.camera import NO_DISTORTION, camera_info, camera_matrix
from liquid_nav.messages.fields import HEADING, twist_stamped
from liquid_nav.messages.plug import WritableMessage, writable_message
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.settings import Reconfigured, encode
from liquid_nav.recording.writer import McapWriter, message
from liquid_nav.safety.layer import SafetyConfig

CAMERA_INFO = "/camera/camera_info"
COMMAND = "/liquid_nav/command"
SETTINGS = "/liquid_nav/settings"


class FlightRecorder(WholeFile):
    """Writes one flight to an MCAP file.

    Args:
        path: the file.
        camera: the camera that frames come from; None for a flight without one.
        distortion: coefficients of its lens, Brown-Conrady k1, k2, p1, p2, k3 as in OpenCV.
        safety: settings of the safety layer from the first record on, which a replay uses; None
            if they are not known.

    Raises:
        OSError: when the file cannot be written.

    """

    def __init__(
        self,
        path: Path,
        camera: PolicyCamera | None,
        distortion: Sequence[float] = NO_DISTORTION,
        safety: SafetyConfig | None = None,
    ) -> None:
        self._writer = McapWriter(path)
        self._camera, self._distortion = camera, distortion
        # Written with the first record, because the time is not known before.
        self._initial = safety
        self._messages: dict[Channel, WritableMessage | None] = {}
        # Readers look for this topic even in a flight without commands.
        self._writer.announce(COMMAND, "geometry_msgs/msg/TwistStamped")

    def close(self) -> None:
        """Finish the file and put it in place."""
        self._writer.close()

    def discard(self) -> None:
        """Delete the unfinished file; does nothing after `close`."""
        self._writer.discard()

    def event(self, event: Event) -> None:
        """Record an event at its arrival; it is left out if its channel has no message type."""
        self._begin(event.arrival)
        channel = event.channel
        if channel not in self._messages:
            self._messages[channel] = writable_message(channel)
        kind = self._messages[channel]
        if kind is None:
            return
        if channel == Channel.CAMERA and self._camera is not None:
            self._write_camera_info(self._camera, event)
        content = message(kind.type, **kind.encode(event))
        self._writer.write(kind.topic, content, event.arrival, event.stamp)

    def command(self, command: Command) -> None:
        """Record a command at the time for which it was requested."""
        self._begin(command.stamp)
        fields = twist_stamped(command.stamp, HEADING, command.vector[:3], command.yaw_rate)
        content = message("geometry_msgs/msg/TwistStamped", **fields)
        self._writer.write(COMMAND, content, command.stamp)

    def write(self, topic: str, content: Any, time: int) -> None:
        """Record another message at `time` ns, see `liquid_nav.recording.writer.message`."""
        self._writer.write(topic, content, time)

    def reconfigured(self, change: Reconfigured) -> None:
        """Record a change of settings."""
        self._begin(change.arrival)
        content = message("std_msgs/msg/String", data=encode(change.safety))
        self._writer.write(SETTINGS, content, change.arrival)

    def _begin(self, now: int) -> None:
        if self._initial is not None:
            initial, self._initial = self._initial, None
            self.reconfigured(Reconfigured(now, initial))

    def _write_camera_info(self, camera: PolicyCamera, event: Event) -> None:
        size, matrix = (camera.width, camera.height), camera_matrix(camera)
        fields = camera_info(event.stamp, size, matrix, self._distortion)
        content = message("sensor_msgs/msg/CameraInfo", **fields)
        self._writer.write(CAMERA_INFO, content, event.arrival, event.stamp)
