"""Standard ROS 2 messages into an MCAP file that Foxglove, rosbags and ``ros2 bag`` read."""

from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType, Writer
from numpy.typing import NDArray

from liquid_nav import __version__
from liquid_nav.bags.decoding import STORE
from liquid_nav.events import SECOND
from liquid_nav.files import WholeFile, put_in_place, staging_path


def message(kind: str, **fields: Any) -> Any:
    """Build a message of the standard type `kind`, such as ``Imu`` of ``sensor_msgs/msg/Imu``."""
    return STORE.types[kind](**fields)


def header(stamp: int, frame: str) -> Any:
    """``std_msgs/Header`` of `stamp` in ns."""
    seconds, fraction = divmod(stamp, SECOND)
    time = message("builtin_interfaces/msg/Time", sec=seconds, nanosec=fraction)
    return message("std_msgs/msg/Header", stamp=time, frame_id=frame)


def vector3(vector: NDArray[np.float64] | tuple[float, float, float]) -> Any:
    """``geometry_msgs/Vector3``."""
    x, y, z = map(float, vector)
    return message("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def twist(linear: NDArray[np.float64] | tuple[float, float, float], angular: Any) -> Any:
    """``geometry_msgs/Twist``."""
    return message("geometry_msgs/msg/Twist", linear=vector3(linear), angular=vector3(angular))


class McapWriter(WholeFile):
    """An MCAP file that grows message by message.

    Args:
        path: the file; one that is there is replaced.

    Raises:
        OSError: when it cannot be written.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._staging = staging_path(path)
        self._file = self._staging.open("wb")
        self._writer = Writer(self._file, compression=CompressionType.ZSTD)
        self._writer.start("ros2", f"liquid_nav {__version__}")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def write(self, topic: str, content: Any, log: int, stamp: int | None = None) -> None:
        """Append a message.

        Args:
            topic: where it was published.
            content: a message, see `message`.
            log: when it came, ns, at least 0.
            stamp: when it was measured, ns; `log` by default. Readers know it as publish time.

        """
        kind = content.__msgtype__
        if topic not in self._channels:
            self.announce(topic, kind)
        data = bytes(STORE.serialize_cdr(content, kind))
        publish = log if stamp is None else max(stamp, 0)
        self._writer.add_message(self._channels[topic], log, data, publish)

    def announce(self, topic: str, kind: str) -> None:
        """Declare a topic, which `write` else does with its first message."""
        if kind not in self._schemas:
            text, _ = STORE.generate_msgdef(kind, ros_version=2)
            self._schemas[kind] = self._writer.register_schema(kind, "ros2msg", text.encode())
        self._channels[topic] = self._writer.register_channel(
            topic, "cdr", self._schemas[kind], {"offered_qos_profiles": ""}
        )

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._file.close()
            put_in_place(self._staging, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave no file, unless it was closed."""
        self._file.close()
        self._staging.unlink(missing_ok=True)
