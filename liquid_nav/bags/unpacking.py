"""Decompress chunks of recordings, also those that are cut or broken, as far as that goes."""

import bz2
from typing import NamedTuple, Protocol

import lz4.frame
import zstandard

from liquid_nav.errors import ReplayError

MAX_CHUNK = 1 << 28
"""Size of the largest chunk that is unpacked, bytes."""

_STEP = 1 << 12
"""Bytes that are unpacked at once: what comes before a broken place is kept to within these."""


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class Unpacked(NamedTuple):
    """What a chunk holds.

    Attributes:
        data: its content, up to where it is cut or broken.
        taken: compressed bytes that were read, up to the end of the chunk if it is whole.
        defect: why there is no more; empty if it is whole.

    """

    data: bytes
    taken: int
    defect: str


def unpack(compression: bytes, data: bytes) -> Unpacked:
    """Unpack a chunk.

    Args:
        compression: ``zstd``, ``lz4``, ``bz2``; empty or ``none`` if it is not compressed.
        data: the chunk, and possibly what follows it.

    Raises:
        ReplayError: on another compression, or a chunk of more than `MAX_CHUNK` bytes.

    """
    if compression in (b"", b"none"):
        return Unpacked(data, len(data), "")
    stream = _stream(compression)
    unpacked, defect = bytearray(), "it is cut short"
    for at in range(0, len(data), _STEP):
        try:
            unpacked += stream.decompress(data[at : at + _STEP])
        except (zstandard.ZstdError, RuntimeError, OSError, EOFError, ValueError) as error:
            defect = str(error)
            break
        if len(unpacked) > MAX_CHUNK:
            raise ReplayError(f"a chunk unpacks to more than {MAX_CHUNK} bytes")
        if stream.eof:
            end = at + len(data[at : at + _STEP]) - len(stream.unused_data or b"")
            return Unpacked(bytes(unpacked), end, "")
    return Unpacked(bytes(unpacked), len(data), defect)


def _stream(compression: bytes) -> _Stream:
    if compression == b"zstd":
        return zstandard.ZstdDecompressor().decompressobj()
    if compression == b"lz4":
        return lz4.frame.LZ4FrameDecompressor()  # type: ignore[no-any-return]
    if compression == b"bz2":
        return bz2.BZ2Decompressor()
    raise ReplayError(f"compression is {compression!r:.40}, which is not known")
