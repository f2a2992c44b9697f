"""Draw text on the frames of videos, in one set of colours."""

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command, Mode

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

BACKGROUND: Colour = (22, 27, 34)
TEXT: Colour = (240, 246, 252)
FAINT: Colour = (139, 148, 158)
ALERT: Colour = (255, 166, 87)


def write(
    canvas: Image,
    text: str,
    corner: tuple[int, int],
    colour: Colour,
    size: float,
    plate: int = 0,
) -> None:
    """Draw a line of text into a picture.

    Args:
        canvas: uint8 RGB, shape (H, W, 3).
        text: what to write, ASCII.
        corner: pixels (x, y) of the lower left corner of the text.
        colour: RGB.
        size: scale of OpenCV's font.
        plate: margin in pixels of the dark plate behind the text; 0 draws none.

    """
    font = cv2.FONT_HERSHEY_SIMPLEX
    if plate:
        x, y = corner
        (width, height), _ = cv2.getTextSize(text, font, size, 1)
        part = canvas[max(y - height - plate, 0) : y + plate, x - plate : x + width + plate]
        part[:] = (part * 0.35).astype(np.uint8)
    cv2.putText(canvas, text, corner, font, size, colour, 1, cv2.LINE_AA)


def mode_caption(command: Command) -> tuple[str, Colour]:
    """Return the mode and reason of a command as text, and the colour to write it in."""
    reason = f": {command.reason}" if command.reason else ""
    colour = FAINT if command.mode is Mode.NOMINAL else ALERT
    return f"{command.mode.value}{reason}", colour
