"""Standard ROS 2 messages into an MCAP file that Foxglove, rosbags and ``ros2 bag`` read."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType, Writer
from rosbags.interfaces import Nodetype

from liquid_nav import __version__
from liquid_nav.bags.deserializing import STORE
from liquid_nav.files import WholeFile, put_in_place, staging_path

Maker = Callable[[], Any]
Converter = Callable[[Any], Any]


def message(kind: str, /, **fields: Any) -> Any:
    """Build a message of a standard type.

    Args:
        kind: the type, such as ``sensor_msgs/msg/Imu``.
        fields: as in `liquid_nav.messages.fields`; messages that are built already are taken too.

    Raises:
        TypeError: on a field that the type does not have.

    """
    values = {
        name: convert(fields.pop(name)) if name in fields else default()
        for name, default, convert in _layout(kind)
    }
    # What is left over is no field, and its class says so.
    return STORE.types[kind](**values, **fields)


@cache
def _layout(kind: str) -> list[tuple[str, Maker, Converter]]:
    """Fields of a type: name, what makes the default, and what converts a given value."""
    return [(name, _default(node), _converter(node)) for name, node in STORE.fielddefs[kind][1]]


def _default(node: Any) -> Maker:
    """Make the value of a field that is left out: zeros, as ROS has them."""
    form, content = node
    if form is Nodetype.NAME:
        return lambda: message(content)
    if form is Nodetype.BASE:
        zero = {"string": "", "bool": False}.get(content[0], 0)
        return lambda: zero
    (inner, base), length = content
    size = length if form is Nodetype.ARRAY else 0
    if inner is Nodetype.BASE and base[0] != "string":
        return lambda: np.zeros(size, base[0])
    make = _default((inner, base))
    return lambda: [make() for _ in range(size)]


def _converter(node: Any) -> Converter:
    """Convert the value of a field: dictionaries into messages, alone or in a list."""
    form, content = node
    if form is Nodetype.NAME:
        return lambda value: message(content, **value) if isinstance(value, dict) else value
    if form in (Nodetype.ARRAY, Nodetype.SEQUENCE) and content[0][0] is Nodetype.NAME:
        convert = _converter(content[0])
        return lambda values: [convert(value) for value in values]
    return lambda value: value


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
            stamp: when it was measured, ns; `log` by default. Readers call it publish time.

        """
        kind = content.__msgtype__
        if topic not in self._channels:
            self.announce(topic, kind)
        data = bytes(STORE.serialize_cdr(content, kind))
        publish = log if stamp is None else max(stamp, 0)
        self._writer.add_message(self._channels[topic], log, data, publish)

    def announce(self, topic: str, kind: str) -> None:
        """Declare a topic, which `write` otherwise does with its first message."""
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
