"""Read the rows of a damaged SQLite file from its pages, without the trees that lead to them.

Section numbers are those of https://www.sqlite.org/fileformat.html.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

_HEADER = 100
"""Size of the file's header, which page 1 begins with, bytes (1.3)."""

_DEFAULT_SIZE = 4096
"""Size of a page where the file's header is broken, bytes."""

_INDEX_INTERIOR, _INDEX_LEAF, _TABLE_LEAF = 2, 10, 13
"""Kinds of pages, from their first byte (1.6)."""

_INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}
"""Bytes of the integers by serial type; 8 and 9 are the numbers 0 and 1 (2.1)."""

_WAL_HEADER, _WAL_FRAME = struct.Struct(">8I"), struct.Struct(">6I")
_WAL_MAGIC = (0x377F0682, 0x377F0683)

Value = int | str | bytes | None


class Cell(NamedTuple):
    """A row, or an entry of an index, as it stands in its page.

    Attributes:
        number: number of the row; 0 for an entry of an index.
        types: serial type of each column (2.1).
        local: the part of the values that is in the page itself.
        missing: bytes of the values that are in overflow pages.
        overflow: number of the first of these pages.

    """

    number: int
    types: tuple[int, ...]
    local: bytes
    missing: int
    overflow: int


class Pages:
    """The pages of a SQLite file, those of its write-ahead log included; a context manager.

    Args:
        path: the file.

    Attributes:
        cut: number of pages at the end that the file should have and does not.

    Raises:
        OSError: when the file cannot be read.

    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        header = self._file.read(_HEADER).ljust(_HEADER, b"\0")
        (size,) = struct.unpack_from(">H", header, 16)
        size = 65536 if size == 1 else size
        valid = size >= 512 and size & (size - 1) == 0
        self._size = size if valid else _DEFAULT_SIZE
        reserved = header[20] if valid and header[20] <= 32 else 0
        self._usable = self._size - reserved
        self._count = -(-self._file.seek(0, 2) // self._size)
        self._log: BinaryIO | None = None
        self._logged: dict[int, int] = {}
        log = path.with_name(f"{path.name}-wal")
        if log.is_file():
            self._log = log.open("rb")
            self._read_log(self._log)
        (declared,) = struct.unpack_from(">I", header, 28)
        # A broken header may give any number.
        self.cut = max(declared - self._count, 0) if valid and declared < 1 << 24 else 0
        self._free = self._free_pages()

    def __enter__(self) -> "Pages":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._log is not None:
            self._log.close()

    def leaves(self) -> Iterator[tuple[int, list[Cell]]]:
        """Yield number and rows of every page that holds rows of a table."""
        for number in range(1, self._count + 1):
            rows = self.rows(number)
            if rows:
                yield number, rows

    def rows(self, number: int) -> list[Cell]:
        """Return the rows in a page as far as they can be read, in the order of the page."""
        return list(self._cells(number, (_TABLE_LEAF,)))

    def index_entries(self) -> Iterator[Cell]:
        """Yield the entries of all indices."""
        for number in range(1, self._count + 1):
            yield from self._cells(number, (_INDEX_LEAF, _INDEX_INTERIOR))

    def values(self, cell: Cell) -> list[Value] | None:
        """Return the values of a row; None when one of its overflow pages is missing or broken."""
        data, left, following = bytearray(cell.local), cell.missing, cell.overflow
        while left:
            page = self._page(following)
            part = page[4 : 4 + min(left, self._usable - 4)]
            left -= len(part)
            if not part or len(part) < min(left, self._usable - 4):
                return None
            data += part
            (following,) = struct.unpack_from(">I", page)
        try:
            return list(_values(cell.types, bytes(data)))
        except UnicodeDecodeError:
            return None

    def _page(self, number: int) -> bytes:
        """Content of a page; shorter where the file is cut, empty where there is no such page."""
        if self._log is not None and number in self._logged:
            self._log.seek(self._logged[number])
            return self._log.read(self._size)
        if not 1 <= number <= self._count:
            return b""
        self._file.seek((number - 1) * self._size)
        return self._file.read(self._size)

    def _cells(self, number: int, kinds: tuple[int, ...]) -> Iterator[Cell]:
        page = self._page(number)
        start = _HEADER if number == 1 else 0
        if len(page) < start + 8 or page[start] not in kinds or number in self._free:
            return
        kind = page[start]
        (count,) = struct.unpack_from(">H", page, start + 3)
        pointers = start + (12 if kind == _INDEX_INTERIOR else 8)
        for pointer in range(pointers, pointers + 2 * count, 2):
            with suppress(IndexError, ValueError, struct.error):  # A broken pointer has no cell.
                yield self._cell(page, pointer, kind)

    def _cell(self, page: bytes, pointer: int, kind: int) -> Cell:
        """Read the cell that the bytes at `pointer` point to (1.6).

        Raises:
            IndexError, ValueError, struct.error: when there is no cell.

        """
        (at,) = struct.unpack_from(">H", page, pointer)
        if kind == _INDEX_INTERIOR:
            at += 4
        size, at = _varint(page, at)
        number = 0
        if kind == _TABLE_LEAF:
            number, at = _varint(page, at)
        length = self._local(size, kind)
        local = page[at : at + length]
        if len(local) < length:
            raise ValueError
        overflow = 0
        if length < size:
            (overflow,) = struct.unpack_from(">I", page, at + length)
        types, begin = _types(local)
        if begin + sum(map(_size_of, types)) != size:
            raise ValueError
        return Cell(number, types, local[begin:], size - length, overflow)

    def _local(self, size: int, kind: int) -> int:
        """How many of the `size` bytes of a cell are in the page itself (1.6)."""
        usable = self._usable
        least = (usable - 12) * 32 // 255 - 23
        most = usable - 35 if kind == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if size <= most:
            return size
        some = least + (size - least) % (usable - 4)
        return some if some <= most else least

    def _free_pages(self) -> set[int]:
        """Pages that are not in use and may hold rows that were deleted (1.5)."""
        free: set[int] = set()
        page = self._page(1)
        trunk = struct.unpack_from(">I", page, 32)[0] if len(page) >= _HEADER else 0
        while 1 <= trunk <= self._count and trunk not in free:
            free.add(trunk)
            page = self._page(trunk)
            if len(page) < self._size:
                break
            trunk, count = struct.unpack_from(">2I", page)
            count = min(count, self._size // 4 - 2)
            free.update(struct.unpack_from(f">{count}I", page, 8))
        return free

    def _read_log(self, log: BinaryIO) -> None:
        """Learn which pages the write-ahead log holds, up to its last commit (4.1, 4.2)."""
        header = log.read(_WAL_HEADER.size)
        if len(header) < _WAL_HEADER.size:
            return
        magic, _, size, _, *salt, _, _ = _WAL_HEADER.unpack(header)
        if magic not in _WAL_MAGIC or size != self._size:
            return
        pending: dict[int, int] = {}
        while len(frame := log.read(_WAL_FRAME.size)) == _WAL_FRAME.size:
            number, committed, *check = _WAL_FRAME.unpack(frame)
            if check[:2] != salt:
                break
            pending[number] = log.tell()
            log.seek(size, 1)
            if committed:
                self._logged |= pending
                self._count = committed
                pending = {}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer of variable length at `at`, and where it ends (1.6)."""
    value = 0
    for position in range(at, at + 8):
        byte = data[position]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def _types(record: bytes) -> tuple[tuple[int, ...], int]:
    """Return the serial types in the header of a record, and where its values begin (2.1)."""
    end, at = _varint(record, 0)
    if not at < end <= len(record):
        raise ValueError
    types = []
    while at < end:
        kind, at = _varint(record, at)
        types.append(kind)
    if at != end:
        raise ValueError
    return tuple(types), end


def _size_of(kind: int) -> int:
    """Bytes of a value of a serial type; raises ValueError for a type that cannot be (2.1)."""
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (0, 7):
        return 8 if kind else 0
    if kind not in _INTEGER_SIZES:
        raise ValueError
    return _INTEGER_SIZES[kind]


def is_integer(kind: int) -> bool:
    """Whether values of a serial type are integers."""
    return kind in _INTEGER_SIZES


def is_text(kind: int) -> bool:
    """Whether values of a serial type are text."""
    return kind >= 13 and kind % 2 == 1


def is_blob(kind: int) -> bool:
    """Whether values of a serial type are bytes."""
    return kind >= 12 and kind % 2 == 0


def _values(types: tuple[int, ...], data: bytes) -> Iterator[Value]:
    at = 0
    for kind in types:
        part = data[at : at + _size_of(kind)]
        at += len(part)
        if is_text(kind):
            yield part.decode()
        elif is_blob(kind):
            yield part
        elif kind in (8, 9):
            yield kind - 8
        elif is_integer(kind):
            yield int.from_bytes(part, "big", signed=True)
        else:
            yield None  # NULL; a table of rosbag2 holds no floating-point numbers.
