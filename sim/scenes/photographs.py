"""Photographs as textures of the ground: from a folder, or from installed packages."""

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError

Photograph = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Files of a folder that are taken for photographs; the others are ignored."""

TRAINING_PACKAGES = (
    "skimage/data/*",
    "sklearn/datasets/images/*",
    "matplotlib/mpl-data/sample_data/*.jpg",
)
"""Photographs of packages that may be installed, for training."""

HELD_OUT_PACKAGES = (
    "pybullet_data/table/table.png",
    "pybullet_data/tray/tray.jpg",
    "pybullet_data/jenga/jenga.png",
    "pybullet_data/domino/domino.jpg",
    "pybullet_data/laikago/laikago_tex.jpg",
    "pybullet_data/heightmaps/wm_height_out.png",
    "pybullet_data/uvmap.png",
    "pybullet_data/tex256.png",
)
"""Photographs and textures that come with PyBullet; training never draws them."""

_SIDE = 192  # pixels of the shorter side that are kept, more than a texture shows
_SHORTEST = 16  # a smaller picture is an icon


def from_folder(folder: str) -> tuple[Photograph, ...]:
    """Read all photographs of a folder, once in a process; folders in it are not read.

    Raises:
        SimulationError: if there is no such folder, it holds no photograph, or one cannot be read.
    """
    place = Path(folder).expanduser()
    try:
        files = sorted(f for f in place.iterdir() if f.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise SimulationError(f"photographs in {folder!r}: {error.strerror}") from error
    if not files:
        raise SimulationError(
            f"photographs in {folder!r}: there is no file that ends in {', '.join(SUFFIXES)}"
        )
    return tuple(_read(file) for file in files)


@lru_cache
def from_packages(patterns: tuple[str, ...]) -> tuple[Photograph, ...]:
    """Read photographs that come with installed packages; none of those that are not installed.

    Packages also come with icons and files for their tests, which are left out.

    Args:
        patterns: paths with wildcards, from the name of a package on.
    """
    pictures = []
    for file in _installed(patterns):
        with suppress(SimulationError):
            pictures.append(_read(file))
    return tuple(pictures)


def _installed(patterns: Iterable[str]) -> list[Path]:
    files: list[Path] = []
    for pattern in patterns:
        package, _, inside = pattern.partition("/")
        # This finds the package without importing it, which can take seconds.
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            found = sorted(Path(place).glob(inside))
            files += [file for file in found if file.suffix.lower() in SUFFIXES]
    return files


def _read(file: Path) -> Photograph:
    """Read a picture and reduce it to the resolution that a texture can show."""
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise SimulationError(f"photograph {str(file)!r}: {error.strerror}") from error
    image: Any = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise SimulationError(f"photograph {str(file)!r}: not a picture that OpenCV can read")
    height, width = image.shape[:2]
    if min(height, width) < _SHORTEST:
        raise SimulationError(
            f"photograph {str(file)!r}: {width} x {height} pixels are too few, "
            f"each side needs {_SHORTEST} at least"
        )
    shrink = min(_SIDE / min(height, width), 1.0)
    if shrink < 1:
        size = (round(width * shrink), round(height * shrink))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    rgb: Photograph = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


def seamless(photograph: Photograph, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Cut a random square from a photograph and mirror it, so that it repeats without a seam.

    Returns:
        RGB in [0, 1], shape (size, size, 3).
    """
    height, width = photograph.shape[:2]
    side = round(min(height, width) * rng.uniform(0.4, 1.0))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = np.rot90(photograph[top : top + side, left : left + side], int(rng.integers(4)))
    half: Any = cv2.resize(
        np.ascontiguousarray(square), (size // 2, size // 2), interpolation=cv2.INTER_AREA
    )
    wide = np.concatenate((half, half[:, ::-1]), axis=1)
    return np.concatenate((wide, wide[::-1])).astype(np.float64) / 255
