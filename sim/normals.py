"""Standard normal numbers for models that draw a few of them in every step."""

import numpy as np


class Normals:
    """Rows of standard normal numbers, drawn from the stream in blocks.

    Blocks give the same numbers as single draws at a fraction of the cost.

    Args:
        rng: random stream; nothing else may draw from it.
        width: numbers in a row.
        most: largest number of rows in a block; it does not change the numbers.
    """

    def __init__(self, rng: np.random.Generator, width: int, most: int = 256) -> None:
        self._rng, self._width, self._most = rng, width, most
        self._rows: list[list[float]] = []
        # Many flights are short, so the first blocks are small.
        self._size = min(8, most)

    def row(self) -> list[float]:
        """The next `width` numbers."""
        if not self._rows:
            self._rows = self._rng.standard_normal((self._size, self._width)).tolist()
            self._rows.reverse()
            self._size = min(2 * self._size, self._most)
        return self._rows.pop()
