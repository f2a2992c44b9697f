"""Deserialise recorded messages by the definitions that the recording holds."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import zstandard
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from liquid_nav.bags import imu_cdr
from liquid_nav.bags.records import Record, Topic
from liquid_nav.errors import ReplayError

STORE = get_typestore(Stores.ROS2_JAZZY)
"""Definitions of the standard messages, used for writing and for files without definitions."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_MESSAGE = 1 << 28
"""Size of the largest message that is decompressed, bytes."""


Deserialize = Callable[[Any], Any]


class Deserializer:
    """Turns records into messages with attributes; parses each topic's definition once.

    Attributes:
        notes: which definitions in the recording are broken, in words.

    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._deserializers: dict[Topic, Deserialize] = {}

    def message(self, record: Record) -> Any:
        """Turn a record's data into a message.

        The definition in the recording counts. If that is broken, or does not fit the first
        message, the standard definition of the type takes its place.

        Raises:
            ReplayError: on an unknown type, or data that is not a message of its type.

        """
        topic, data = record.topic, record.data
        try:
            deserialize = self._deserializers.get(topic)
            return self._first(topic, data) if deserialize is None else deserialize(data)
        except ReplayError:
            raise
        # On a broken definition or message the libraries raise errors of any type.
        except Exception as error:
            raise ReplayError(
                f"{topic.name}: a message is not {topic.type}: {error!r:.200}"
            ) from error

    def _first(self, topic: Topic, data: Any) -> Any:
        """Deserialise the first message of a topic that can be, and keep how."""
        standard = replace(topic, definition="")
        try:
            deserialize = _deserializer_of(topic)
            message = deserialize(data)
        except Exception as error:
            if not topic.definition or topic.type not in _standard(topic).types:
                raise
            deserialize = _deserializer_of(standard)
            message = deserialize(data)
            self.notes.append(
                f"{topic.name}: the recorded definition of {topic.type} is broken, the standard "
                f"one takes its place: {error!r:.120}"
            )
        self._deserializers[topic] = deserialize
        return message


def to_cdr(record: Record) -> bytes:
    """Give the data of a record in CDR, as ROS 2 sends it.

    Raises:
        ReplayError: when its type is another in ROS 2, or the data are not a message of it.

    """
    topic, data = record.topic, record.data
    try:
        if topic.encoding == "cdr":
            return bytes(_decompress(data) if data[:4] == _ZSTD_MAGIC else data)
        if topic.encoding == "ros1" and _same_in_ros2(topic.type):
            return bytes(STORE.ros1_to_cdr(data, topic.type))
    except ReplayError:
        raise
    # On a broken message the library raises errors of any type.
    except Exception as error:
        raise ReplayError(f"{topic.name}: a message is not {topic.type}: {error!r:.200}") from error
    raise ReplayError(f"{topic.name}: {topic.type} in {topic.encoding} has no form in ROS 2")


def _deserializer_of(topic: Topic) -> Deserialize:
    if topic.encoding == "object":
        return lambda data: data
    if topic.encoding not in ("cdr", "ros1"):
        raise ReplayError(f"{topic.name} is encoded as {topic.encoding!r}, not as cdr")
    store, kind = _store_of(topic), topic.type
    if topic.encoding == "ros1":
        return lambda data: store.deserialize_ros1(data, kind)
    standard = kind == imu_cdr.TYPE and all(
        store.fielddefs.get(part) == STORE.fielddefs[part] for part in imu_cdr.PARTS
    )

    def deserialize(data: Any) -> Any:
        # CDR never starts with these bytes; rosbag2 can compress each message on its own.
        if data[:4] == _ZSTD_MAGIC:
            data = _decompress(data)
        message = imu_cdr.read_imu(data) if standard else None
        return store.deserialize_cdr(data, kind) if message is None else message

    return deserialize


def _standard(topic: Topic) -> Typestore:
    """Definitions of the standard messages in the topic's version of ROS."""
    return _ros1_store() if topic.encoding == "ros1" else STORE


@lru_cache(maxsize=1)
def _ros1_store() -> Typestore:
    return get_typestore(Stores.ROS1_NOETIC)


@lru_cache(maxsize=256)
def _same_in_ros2(kind: str) -> bool:
    """Whether a type of ROS 1 has the same fields in ROS 2, whatever their names."""
    if kind == "std_msgs/msg/Header":  # ROS 1 counts its messages in a field more.
        return True
    try:
        pairs = zip(_ros1_store().fielddefs[kind][1], STORE.fielddefs[kind][1], strict=True)
        for (_, node), (_, other) in pairs:
            if node != other:
                return False
            name = _inner_name(node)
            if name and not _same_in_ros2(name):
                return False
    except (KeyError, ValueError):
        return False
    return True


def _inner_name(node: Any) -> str:
    """Type of the messages that a field holds, or empty if it holds plain values."""
    form, content = node
    if form in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        form, content = content[0]
    return str(content) if form is Nodetype.NAME else ""


@lru_cache(maxsize=256)
def _store_of(topic: Topic) -> Typestore:
    standard = _standard(topic)
    if not topic.definition:
        if topic.type not in standard.types:
            raise ReplayError(
                f"{topic.name}: {topic.type} is not a standard message, "
                "and the recording does not define it"
            )
        return standard
    store = get_typestore(Stores.EMPTY)
    if topic.is_idl:
        store.register(get_types_from_idl(topic.definition))
    else:
        store.register(get_types_from_msg(topic.definition, topic.type))
    return store


def _decompress(data: bytes) -> bytes:
    size = zstandard.frame_content_size(data)
    if not 0 <= size <= _MAX_MESSAGE:
        raise ReplayError(f"a compressed message has {size} bytes, at most {_MAX_MESSAGE} are read")
    return bytes(zstandard.ZstdDecompressor().decompress(data))
