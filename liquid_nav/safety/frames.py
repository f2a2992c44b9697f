"""Look at the frames of a camera: are parts of them frozen, have they colour and light?"""

from dataclasses import dataclass
from itertools import pairwise

from liquid_nav.events import SECOND, CameraFrame, Channel
from liquid_nav.safety.warnings import SensorWarnings

BANDS = 4
"""Horizontal bands of a frame, from the top; the left and right halves follow them."""

LIVELY = 20
"""Changes after which a part of the picture is known to change."""

TURNED = 0.3
"""Radians of rotation that change every part of a picture that shows anything."""

LOOKS = 10
"""Frames in a row that are grey, or almost black, before a warning."""

DARK = 16
"""Largest value of a pixel in a frame that is almost black."""


@dataclass
class _Part:
    """A part of the picture.

    Attributes:
        pixels: its newest bytes.
        since: when they changed last, ns.
        changes: how often they changed.
        turned: radians that the vehicle turned since they changed last.

    """

    pixels: bytes = b""
    since: int = 0
    changes: int = 0
    turned: float = 0.0


class FrameChecks:
    """Judges each frame by those before it.

    A part of the picture that no longer changes while the rest does is warned about. The frame is
    refused if half of it is so and the vehicle turns: then no part can stay as it was, bit for bit.

    Args:
        warnings: where suspicions go.

    """

    def __init__(self, warnings: SensorWarnings) -> None:
        self._warnings = warnings
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._parts = [_Part() for _ in range(BANDS + 2)]
        self._stamp: int | None = None
        self._grey = self._dark = 0

    def objection(self, frame: CameraFrame, rate: float, limit: float | None) -> str:
        """Remember a frame and return why it is refused, or an empty string.

        Args:
            frame: the frame.
            rate: rad/s at which the vehicle turns now.
            limit: seconds for which a part of the picture may stay the same; None for ever.

        """
        self._look(frame)
        elapsed = 0 if self._stamp is None else frame.stamp - self._stamp
        self._stamp = frame.stamp
        frozen = []
        for i, (part, new) in enumerate(zip(self._parts, _split(frame), strict=True)):
            if new != part.pixels:
                part.pixels, part.since, part.turned = new, frame.stamp, 0.0
                part.changes += 1
                continue
            part.turned += max(rate * elapsed / SECOND, 0.0)
            still = limit is not None and frame.stamp - part.since > round(limit * SECOND)
            # What shows one colour only, such as a clear sky, may stay as it is.
            if still and part.changes > LIVELY and len(set(new)) > 8:
                frozen.append(i)
        if len(frozen) == len(self._parts):
            return ""
        part_of = "half" if _half(frozen) else "part"
        self._warnings.set(
            Channel.CAMERA,
            "frozen part",
            f"{part_of} of the picture has not changed for more than {limit:g} s while the rest "
            "does: look at the camera, its cable and its driver"
            if frozen
            else "",
        )
        if _half(frozen) and all(self._parts[i].turned > TURNED for i in frozen):
            return f"frozen: half of the frame unchanged for more than {limit:g} s"
        return ""

    def _look(self, frame: CameraFrame) -> None:
        """Warn about pictures without colour or light, until one has them."""
        if self._grey >= 0:
            red, green, blue = (frame.image[:, :, i] for i in range(3))
            grey = (red == green).all() and (green == blue).all()
            self._grey = self._grey + 1 if grey else -1
            self._warnings.set(
                Channel.CAMERA,
                "grey",
                "the pictures are grey, and the policy was trained on colours: use the colour "
                "camera or its colour encoding, see topics.image"
                if self._grey >= LOOKS
                else "",
            )
        if self._dark >= 0:
            self._dark = self._dark + 1 if frame.image.max() <= DARK else -1
            self._warnings.set(
                Channel.CAMERA,
                "dark",
                "the pictures are almost black: take off the lens cap, raise the exposure, or "
                "have the driver publish 8 bits instead of 10 or 12 in 16"
                if self._dark >= LOOKS
                else "",
            )


def _split(frame: CameraFrame) -> list[bytes]:
    """Bytes of each band, then of the left and the right half."""
    image = frame.image
    height, width, _ = image.shape
    edges = [height * k // BANDS for k in range(BANDS + 1)]
    bands = [image[a:b].tobytes() for a, b in pairwise(edges)]
    return [*bands, image[:, : width // 2].tobytes(), image[:, width // 2 :].tobytes()]


def _half(frozen: list[int]) -> bool:
    return len([i for i in frozen if i < BANDS]) >= BANDS // 2 or any(i >= BANDS for i in frozen)
