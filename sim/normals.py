"""Normal numbers for what draws a few at every step."""

import numpy as np


class Normals:
    """Standard normal numbers in rows, drawn in blocks: far cheaper than row by row, and the same.

    Args:
        rng: their source, which nothing else draws from.
        width: numbers in a row.
        most: rows in a block at most; does not change the numbers.
    """

    def __init__(self, rng: np.random.Generator, width: int, most: int = 256) -> None:
        self._rng, self._width, self._most = rng, width, most
        self._rows: list[list[float]] = []
        # Small blocks first: many a flight is short.
        self._size = min(8, most)

    def row(self) -> list[float]:
        """The next `width` numbers."""
        if not self._rows:
            self._rows = self._rng.standard_normal((self._size, self._width)).tolist()
            self._rows.reverse()
            self._size = min(2 * self._size, self._most)
        return self._rows.pop()
