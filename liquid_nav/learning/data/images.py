"""Changes of camera images: light, colour, noise, blur, compression and dirt on the lens.

Training draws one for each flight, so that a policy knows more than one camera; evaluation flies
with one of a known size. Images are uint8 RGB.
"""

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError

Frames = NDArray[np.uint8]
"""Images of one camera, uint8 RGB, shape (F, H, W, 3)."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""

_NOISE = 1 << 18
"""Normal numbers that an `ImageFilter` draws once; frames take runs of them."""


@dataclass(frozen=True)
class ImageChange:
    """How a camera's images differ from those of the simulator. The defaults change nothing.

    The changes are applied in the order of the fields, as light passes lens, sensor and driver.

    Attributes:
        dirt: share of the image that blurred spots of dirt cover, from 0 to 0.5.
        blur: standard deviation of a Gaussian blur, pixels.
        brightness: factor of every grey level.
        cast: factors of red, green and blue.
        contrast: factor of the distance of every grey level from `pivot`.
        pivot: grey level that `contrast` does not change.
        gamma: exponent of the grey levels, taken from 0 to 1; above 1 it darkens the middle.
        saturation: factor of the distance of each colour from grey of the same brightness.
        noise: standard deviation of the noise of each pixel and colour, grey levels.
        jpeg: quality of JPEG compression, 1 to 100; 0 for none.

    Raises:
        ConfigError: on a value of another type or out of its range.

    """

    dirt: float = 0.0
    blur: float = 0.0
    brightness: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    pivot: float = 128.0
    gamma: float = 1.0
    saturation: float = 1.0
    noise: float = 0.0
    jpeg: int = 0

    def __post_init__(self) -> None:
        ranges = {"dirt": (0, 0.5), "pivot": (0, 255), "gamma": (0.05, 20), "jpeg": (0, 100)}
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = ranges.get(field.name, (0, 100))
            kinds: tuple[type, ...] = (int,) if field.name == "jpeg" else (int, float)
            numbers = value if field.name == "cast" else (value,)
            if (
                not isinstance(numbers, tuple)
                or len(numbers) != (3 if field.name == "cast" else 1)
                or any(not isinstance(n, kinds) or isinstance(n, bool) for n in numbers)
                or not all(low <= n <= high for n in numbers)
            ):
                what = {"cast": "three numbers", "jpeg": "a whole number"}.get(field.name, "")
                raise ConfigError(
                    f"the image change {field.name} must be {what or 'a number'} from {low} to "
                    f"{high}, got {value!r}"
                )

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "ImageChange":
        """Draw a change for one training flight. Four in ten flights are left as they are."""
        if rng.random() < 0.4:
            return cls()

        def sometimes(share: float) -> bool:
            return bool(rng.random() < share)

        red, green, blue = np.exp(rng.uniform(-0.3, 0.3, 3)).tolist()
        return cls(
            dirt=float(rng.uniform(0, 0.12)) if sometimes(0.15) else 0.0,
            blur=float(rng.uniform(0.3, 1.2)) if sometimes(0.2) else 0.0,
            brightness=float(np.exp(rng.uniform(np.log(0.2), np.log(1.5)))),
            cast=(red, green, blue) if sometimes(0.4) else (1.0, 1.0, 1.0),
            contrast=float(rng.uniform(0.3, 1.3)) if sometimes(0.5) else 1.0,
            pivot=float(rng.uniform(50, 180)),
            gamma=float(np.exp(rng.uniform(-0.6, 0.6))) if sometimes(0.5) else 1.0,
            saturation=float(rng.uniform(0.4, 1.6)) if sometimes(0.5) else 1.0,
            noise=float(rng.uniform(0, 25)) if sometimes(0.3) else 0.0,
            jpeg=int(rng.integers(10, 90)) if sometimes(0.25) else 0,
        )

    def filter(self, rng: np.random.Generator) -> "ImageFilter":
        """Make the filter of one flight, with dirt and noise of its own."""
        return ImageFilter(self, rng)


class ImageFilter:
    """Applies an `ImageChange` to the images of one flight.

    The same images in the same order give the same result. Dirt stays where it is; noise differs
    from image to image.

    Args:
        change: what to apply.
        rng: draws dirt and noise.

    """

    def __init__(self, change: ImageChange, rng: np.random.Generator) -> None:
        self._change, self._rng = change, rng
        self._levels = _level_table(change)
        self._mixing = _saturation_matrix(change.saturation)
        self._dirt: tuple[NDArray[Any], NDArray[Any]] | None = None
        self._normals = (
            rng.standard_normal(_NOISE, np.float32) * change.noise if change.noise > 0 else None
        )

    def __call__(self, frames: Frames) -> Frames:
        """Return changed copies of images; without any change, the images themselves."""
        change = self._change
        if change == ImageChange() or not len(frames):
            return frames
        count, height, width, _ = frames.shape
        if change.dirt > 0:
            frames = self._soiled(frames)
        if change.blur > 0:
            frames = np.stack([cv2.GaussianBlur(f, (0, 0), change.blur) for f in frames])
        # One tall image: the following changes treat every pixel alike.
        tall: NDArray[Any] = cv2.LUT(frames.reshape(-1, width, 3), self._levels)
        if change.saturation != 1.0:
            tall = cv2.transform(tall, self._mixing)
        if self._normals is not None:
            tall = self._noisy(tall)
        frames = tall.reshape(count, height, width, 3)
        if change.jpeg:
            frames = np.stack([_compressed(f, change.jpeg) for f in frames])
        return frames

    def _soiled(self, frames: Frames) -> Frames:
        if self._dirt is None:
            self._dirt = _dirt(self._change.dirt, frames.shape[1:3], self._rng)
        through, added = self._dirt
        soiled: Frames = (frames * through + added).astype(np.uint8)
        return soiled

    def _noisy(self, tall: NDArray[Any]) -> NDArray[Any]:
        assert self._normals is not None
        noisy, flat = np.empty_like(tall), tall.reshape(-1)
        run = min(flat.size, _NOISE // 2)
        for begin in range(0, flat.size, run):
            some = flat[begin : begin + run]
            offset = int(self._rng.integers(_NOISE - len(some)))
            light = self._normals[offset : offset + len(some)] + some
            noisy.reshape(-1)[begin : begin + run] = np.clip(light, 0, 255)
        return noisy


def _level_table(change: ImageChange) -> Frames:
    """Table of the new grey levels of each colour, shape (1, 256, 3)."""
    level = np.arange(256)[:, None] * change.brightness * np.array(change.cast)
    level = change.pivot + (np.clip(level, 0, 255) - change.pivot) * change.contrast
    table: Frames = np.rint(255 * (np.clip(level, 0, 255) / 255) ** change.gamma).astype(np.uint8)
    return table[None]


def _saturation_matrix(saturation: float) -> NDArray[np.float32]:
    """Matrix (3, 3) that moves each colour from grey of its brightness, or towards it."""
    grey = np.tile(_LUMA, (3, 1))
    matrix: NDArray[np.float32] = grey + saturation * (np.eye(3, dtype=np.float32) - grey)
    return matrix.astype(np.float32)


def _dirt(
    share: float, size: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw spots until they cover `share` of the image.

    Returns:
        The part of the light that passes (H, W, 1), and what the dirt adds, (H, W, 3).

    """
    height, width = size
    cover = np.zeros(size, np.float32)
    while (cover > 0).mean() < share:
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = max(1, round(width * rng.uniform(0.02, 0.08)))
        cv2.circle(cover, centre, radius, float(rng.uniform(0.4, 0.95)), -1)
    opaque = cv2.GaussianBlur(cover, (0, 0), 0.012 * width)[..., None]
    colour = rng.uniform(10, 120) + rng.uniform(-10, 10, 3)
    return 1 - opaque, opaque * colour


def _compressed(frame: NDArray[Any], quality: int) -> NDArray[Any]:
    """Compress an image as JPEG and read it again."""
    # Which channel is red does not matter here but for the accuracy of the colours.
    _, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert read is not None  # it was written just now
    return read[..., ::-1]
