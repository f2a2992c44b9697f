"""Find a coloured object in a frame, whatever the light."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

DARKNESS = 0.2
"""Share of the usual brightness, added where a score divides by brightness: pixels that are far
darker than the scene have no colour that could be trusted."""

NOISE_MARGIN = 5.0
"""How far a score must be above the noise, standard deviations."""

BOXES = (1, 3, 5)
"""Pixels: sides of the boxes over which scores are averaged until something stands out."""


@dataclass(frozen=True)
class Blob:
    """An object in a frame.

    Attributes:
        mask: its pixels, bool, (H, W).
        score: sum of its scores; a larger and purer blob has more.

    """

    mask: NDArray[np.bool_]
    score: float


def balanced(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Divide an image by its brightness, and take away half of its cast of colour.

    Most of a scene is grey on average (Buchsbaum 1980); a median in the place of the mean is not
    tinted by one large object. Only half of the cast is light, the rest is blue sky or brown earth.
    """
    pixels = image.astype(np.float32) + 1.0
    usual = np.median(pixels, axis=(0, 1))
    return np.asarray(pixels / np.sqrt(usual * usual.mean()), np.float32)


def redness(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Score how red each pixel is: near 1 for pure red, less for orange, pink and pale, (H, W)."""
    red, green, blue = np.moveaxis(balanced(image), 2, 0)
    largest = np.maximum(green, blue)
    excess = red - largest - 0.5 * np.abs(green - blue)
    return np.asarray(excess / (np.maximum(red, largest) + DARKNESS), np.float32)


def strongest(score: NDArray[np.float32], faintest: float) -> Blob | None:
    """Find the connected region of the largest total score that stands out of the noise.

    Args:
        score: score of each pixel, (H, W).
        faintest: smallest score of an object.

    """
    if score.shape[1] < 2:
        return None
    noise = 1.05 * float(np.median(np.abs(np.diff(score, axis=1))))
    for side in BOXES:
        smooth = cv2.blur(score, (side, side))
        peak = float(smooth.max())
        least = max(faintest, NOISE_MARGIN * noise / side)
        if peak > least:
            high = smooth > max(least, 0.6 * peak)
            _, labels = cv2.connectedComponents(high.astype(np.uint8))
            totals = np.bincount(labels.ravel(), weights=(smooth * high).ravel())
            best = int(np.argmax(totals))
            return Blob(labels == best, float(totals[best]))
    return None
