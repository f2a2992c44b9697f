"""Deserialise recorded messages by the definitions that the recording holds."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import zstandard
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


class Deserializer:
    """Turns records into messages with attributes; parses each topic's definition once."""

    def __init__(self) -> None:
        self._deserializers: dict[Topic, Callable[[Any], Any]] = {}

    def message(self, record: Record) -> Any:
        """Turn a record's data into a message.

        Raises:
            ReplayError: on an unknown type, or data that is not a message of its type.

        """
        topic, data = record.topic, record.data
        try:
            deserialize = self._deserializers.get(topic)
            if deserialize is None:
                deserialize = self._deserializers[topic] = _deserializer_of(topic)
            return deserialize(data)
        except ReplayError:
            raise
        # On a broken definition or message the libraries raise errors of any type.
        except Exception as error:
            raise ReplayError(
                f"{topic.name}: a message is not {topic.type}: {error!r:.200}"
            ) from error


def _deserializer_of(topic: Topic) -> Callable[[Any], Any]:
    if topic.encoding == "object":
        return lambda data: data
    store, kind = _store_of(topic), topic.type
    if topic.encoding == "ros1":
        return lambda data: store.deserialize_ros1(data, kind)
    if topic.encoding != "cdr":
        raise ReplayError(f"{topic.name} is encoded as {topic.encoding!r}, not as cdr")
    standard = kind == imu_cdr.TYPE and all(
        store.fielddefs[part] == STORE.fielddefs[part] for part in imu_cdr.PARTS
    )

    def deserialize(data: Any) -> Any:
        # CDR never starts with these bytes; rosbag2 can compress each message on its own.
        if data[:4] == _ZSTD_MAGIC:
            data = _decompress(data)
        message = imu_cdr.read_imu(data) if standard else None
        return store.deserialize_cdr(data, kind) if message is None else message

    return deserialize


@lru_cache(maxsize=256)
def _store_of(topic: Topic) -> Typestore:
    standard = get_typestore(Stores.ROS1_NOETIC) if topic.encoding == "ros1" else STORE
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
