"""From serialised messages to objects read by attribute, by the definitions that came with them."""

from functools import lru_cache
from typing import Any

import zstandard
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from liquid_nav.errors import ReplayError
from liquid_nav.replay.records import Record, Topic

STORE = get_typestore(Stores.ROS2_JAZZY)
"""Definitions of the standard messages: what we write, and what we trust for lack of others."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_MESSAGE = 1 << 28
"""Bytes of the largest message that is decompressed."""


class Decoder:
    """Decodes records; definitions are parsed once per topic."""

    def __init__(self) -> None:
        self._stores: dict[Topic, Typestore] = {}

    def decode(self, record: Record) -> Any:
        """Turn a record's data into a message.

        Raises:
            ReplayError: on an unknown type, or data that is no message of its type.

        """
        topic, data = record.topic, record.data
        if topic.encoding == "object":
            return data
        try:
            if topic not in self._stores:
                self._stores[topic] = _store_of(topic)
            if topic.encoding == "ros1":
                return self._stores[topic].deserialize_ros1(data, topic.type)
            if topic.encoding != "cdr":
                raise ReplayError(f"{topic.name} is encoded as {topic.encoding!r}, not as cdr")
            # No CDR starts so: rosbag2 compresses single messages when asked to.
            if bytes(data[:4]) == _ZSTD_MAGIC:
                data = _decompress(data)
            return self._stores[topic].deserialize_cdr(data, topic.type)
        except ReplayError:
            raise
        # The libraries raise whatever a broken definition or message trips them over.
        except Exception as error:
            raise ReplayError(f"{topic.name}: no {topic.type}: {error!r:.200}") from error


@lru_cache(maxsize=256)
def _store_of(topic: Topic) -> Typestore:
    standard = get_typestore(Stores.ROS1_NOETIC) if topic.encoding == "ros1" else STORE
    if not topic.definition:
        if topic.type not in standard.types:
            raise ReplayError(
                f"{topic.name}: {topic.type} is no standard message, "
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
        raise ReplayError(f"a compressed message of {size} bytes, at most {_MAX_MESSAGE} are taken")
    return bytes(zstandard.ZstdDecompressor().decompress(data))
