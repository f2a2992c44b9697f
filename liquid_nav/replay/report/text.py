"""Numbers and text in the report, as console and page write them."""

import math


def number(value: float, digits: int) -> str:
    """Round to `digits` decimals; a dash where the value is not finite."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def printable(value: str) -> str:
    """Replace characters that a page may not hold, such as controls and surrogates, by U+FFFD."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in value)
