"""Write standard ROS 2 messages to an MCAP file that Foxglove, rosbags and ``ros2 bag`` read."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType, Writer
from rosbags.interfaces import Nodetype

from liquid_nav import __version__
from liquid_nav.bags.deserializing import STORE
from liquid_nav.files import WholeFile, naming, put_in_place, staging_path

Maker = Callable[[], Any]
Converter = Callable[[Any], Any]


def message(kind: str, /, **fields: Any) -> Any:
    """Build a message of a standard type.

    Args:
        kind: the type, such as ``sensor_msgs/msg/Imu``.
        fields: values as in `liquid_nav.messages.fields`, or messages that are already built.

    Raises:
        TypeError: on a field that the type does not have.

    """
    values = {
        name: convert(fields.pop(name)) if name in fields else default()
        for name, default, convert in _layout(kind)
    }
    # Any name that is left over is not a field, and the class raises TypeError.
    return STORE.types[kind](**values, **fields)


@cache
def _layout(kind: str) -> list[tuple[str, Maker, Converter]]:
    """Return for each field of a type its name, its default and its conversion."""
    return [(name, _default(node), _converter(node)) for name, node in STORE.fielddefs[kind][1]]


def _default(node: Any) -> Maker:
    """Return a function that makes the default of a field: zeros, as in ROS."""
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
    """Return a function that converts a field's value: dictionaries become messages."""
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
        path: the file; an existing file is replaced on `close`.

    Raises:
        OSError: when the file cannot be written.

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
            topic: the topic.
            content: the message, see `message`.
            log: log time, when it arrived, ns, at least 0.
            stamp: publish time, when it was measured, ns; `log` by default.

        """
        kind = content.__msgtype__
        if topic not in self._channels:
            self.announce(topic, kind)
        data = bytes(STORE.serialize_cdr(content, kind))
        publish = log if stamp is None else max(stamp, 0)
        with naming(self.path):
            self._writer.add_message(self._channels[topic], log, data, publish)

    def announce(self, topic: str, kind: str) -> None:
        """Declare a topic before its first message; otherwise `write` declares it."""
        if kind not in self._schemas:
            text, _ = STORE.generate_msgdef(kind, ros_version=2)
            self._schemas[kind] = self._writer.register_schema(kind, "ros2msg", text.encode())
        self._channels[topic] = self._writer.register_channel(
            topic, "cdr", self._schemas[kind], {"offered_qos_profiles": ""}
        )

    def close(self) -> None:
        """Finish the file and put it in place."""
        try:
            with naming(self.path):
                self._writer.finish()  # type: ignore[no-untyped-call]
                self._file.close()
                put_in_place(self._staging, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Delete the unfinished file; does nothing after `close`."""
        # What is still buffered cannot be written to a full disk, and is not wanted.
        with suppress(OSError):
            self._file.close()
        self._staging.unlink(missing_ok=True)
