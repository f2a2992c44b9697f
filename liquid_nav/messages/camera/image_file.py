"""Where a JPEG or PNG file begins and ends, and what its header says, before it is decoded.

A small file may unpack to gigabytes, and drivers send more than the file: a buffer of fixed size
holds the end of an older image, transports pad with zeros. Neither may reach the decoder.
"""

import re
from typing import NamedTuple

from liquid_nav.messages.decode import MessageError

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"

_MARKER = re.compile(rb"\xff{1,1000}([^\xff\x00])")
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Any marker but a restart, among coded data where zero follows every other 255."""

# Markers of a JPEG (ITU T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA

_MOST_SEGMENTS = 1000
_MOST_SCANS = 64
"""Scans of a progressive JPEG. Encoders write about ten; each costs a pass over all pixels."""
_MOST_CHUNKS = 1 << 16

_GREY_PNG = frozenset({0, 4})
"""Colour types of a PNG without colour."""


class ImageFile(NamedTuple):
    """A whole JPEG or PNG file.

    Attributes:
        data: its bytes, without those that follow its end.
        width, height: pixels.
        channels: numbers per pixel, 1 if it is grey.
        bits: of each number.
        is_jpeg: whether it is a JPEG.

    """

    data: memoryview
    width: int
    height: int
    channels: int
    bits: int
    is_jpeg: bool


def image_file(data: memoryview) -> ImageFile:
    """Find the file at the beginning of `data`, bytes.

    Raises:
        MessageError: on another format, or a file that is broken or cut short.

    """
    if data[: len(_PNG)] == _PNG:
        return _png(data)
    if data[: len(_JPEG)] == _JPEG:
        return _jpeg(data)
    raise MessageError(f"compressed image starts with {bytes(data[:8])!r}, it must be JPEG or PNG")


def _cut(data: memoryview) -> MessageError:
    return MessageError(f"compressed image of {len(data)} bytes is cut short: it has no end")


def _png(data: memoryview) -> ImageFile:
    """Walk over the chunks of a PNG (ISO 15948, 5.3)."""
    if bytes(data[12:16]) != b"IHDR":
        raise MessageError("compressed image is a PNG without a header: it is broken")
    if len(data) < 33:
        raise _cut(data)
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    at = len(_PNG)
    for _ in range(_MOST_CHUNKS):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data) or at + 12 > len(data):
            raise _cut(data)
        if bytes(data[at + 4 : at + 8]) == b"IEND":
            channels = 1 if data[25] in _GREY_PNG else 3
            return ImageFile(data[:end], width, height, channels, data[24], False)
        at = end
    raise MessageError(f"compressed image is a PNG of more than {_MOST_CHUNKS} chunks")


def _jpeg(data: memoryview) -> ImageFile:
    """Walk over the segments of a JPEG, and over the coded data of its scans (ITU T.81, B.1)."""
    frame: tuple[int, int, int, int] | None = None
    sequential, scans, at = True, 0, len(_JPEG)
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.match(data, at)
        if found is None:
            if at >= len(data):
                raise _cut(data)
            break
        marker, begin, at = found[1][0], at, found.end()
        if marker in (_EOI, _SOI) and frame is not None and scans:
            # The next image may begin before this one was ended.
            whole = data[:at] if marker == _EOI else _ended(data[:begin])
            return ImageFile(whole, *frame, True)
        if marker in _ALONE:
            continue
        if at + (8 if marker in _FRAMES else 2) > len(data):
            raise _cut(data)
        length = int.from_bytes(data[at : at + 2], "big")
        if marker in _FRAMES:
            bits, channels = data[at + 2], data[at + 7]
            height, width = (int.from_bytes(data[at + n : at + n + 2], "big") for n in (3, 5))
            frame, sequential = (width, height, channels, bits), marker in _SEQUENTIAL
        at += max(length, 2)
        if marker == _SOS:
            scans += 1
            end = _END_OF_SCAN.search(data, at)
            if end is None and frame is not None and sequential and scans == 1:
                # Only its end is missing, or more: the decoder tells.
                return ImageFile(_ended(data), *frame, True)
            if end is None:
                raise _cut(data)
            if scans > _MOST_SCANS:
                break
            at = end.start()
    raise MessageError("compressed image is a JPEG without a frame, or without end: it is broken")


def _ended(data: memoryview) -> memoryview:
    return memoryview(bytes(data).rstrip(b"\xff") + bytes((0xFF, _EOI)))
