"""Seamless patterns of the ground for training, at any scale.

A pattern is a function of the texture's size S in texels, the number of its features along a side,
and a random stream. It returns levels in [0, 1], shape (S, S), 0 for the darker colour. Both S and
the number of features are powers of two.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]
Pattern = Callable[[int, int, np.random.Generator], Levels]


def smooth_noise(size: int, rng: np.random.Generator, steepness: float) -> Levels:
    """Periodic noise of amplitude 1 / frequency^steepness, zero mean and unit variance, (S, S)."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) * frequency**-steepness
    noise: Levels = np.asarray(np.fft.ifft2(spectrum).real, dtype=np.float64)
    noise /= np.sqrt(np.mean(noise**2))
    return noise


def band_noise(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Periodic noise with about `count` waves along a side, zero mean and unit variance, (S, S)."""
    row, column = np.fft.fftfreq(size)[:, None] * size, np.fft.rfftfreq(size) * size
    octaves = np.log2(np.maximum(np.hypot(row, column), 1e-9) / count)
    noise: Levels = np.fft.irfft2(
        np.fft.rfft2(rng.standard_normal((size, size))) * np.exp(-2 * octaves**2), s=(size, size)
    )
    noise /= np.sqrt(np.mean(noise**2)) + 1e-12
    return noise


def plain(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Screed or paint: one colour."""
    return np.full((size, size), rng.uniform())


def clouds(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Soil or grass: noise at all scales."""
    levels: Levels = 0.5 + 0.25 * smooth_noise(size, rng, rng.uniform(0.3, 1.6))
    return levels.clip(0, 1)


def blotches(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Meadow or worn concrete: two tones with an irregular border."""
    tones: Levels = np.tanh(rng.uniform(0.7, 6.0) * band_noise(size, count, rng))
    return 0.5 + 0.5 * tones


def camouflage(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Patches of three to five tones."""
    tones = int(rng.integers(3, 6))
    noise = band_noise(size, count, rng) + rng.uniform(0, 0.5) * smooth_noise(size, rng, 1.0)
    rank = np.searchsorted(np.quantile(noise, np.linspace(0, 1, tones + 1)[1:-1]), noise)
    return np.asarray(rng.permutation(np.linspace(0, 1, tones))[rank], dtype=np.float64)


def gravel(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Stones or rough plaster: bumps that are lit from the side."""
    height = band_noise(size, 2 * count, rng)
    slope = height - np.roll(height, (1, 1), axis=(0, 1))
    levels: Levels = 0.5 + 0.3 * slope / (slope.std() + 1e-9)
    return levels.clip(0, 1)


def speckle(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Terrazzo or litter: single texels or small squares of another tone."""
    squares = min(4 * count, size)
    share, block = rng.uniform(0.03, 0.5), size // squares
    marked = rng.random((squares, squares)) < share
    levels: Levels = np.where(marked, rng.uniform(0, 1, (squares, squares)), rng.uniform())
    return levels.repeat(block, axis=0).repeat(block, axis=1)


def bands(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Stripes or furrows in any direction, with sharp edges or as a gradient."""
    angle = rng.uniform(0, np.pi)
    along, across = round(count * np.cos(angle)), round(count * np.sin(angle))
    row, column = np.indices((size, size)) / size
    wave = np.sin(2 * np.pi * (along * column + across * row) + rng.uniform(0, 2 * np.pi))
    steepness = np.exp(rng.uniform(np.log(0.5), np.log(30)))
    # The offset makes the stripes of one tone wider than those of the other.
    tones: Levels = np.tanh(steepness * (wave + rng.uniform(-0.6, 0.6)))
    return 0.5 + 0.5 * tones


def zigzags(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Chevrons: stripes that turn back and forth."""
    row, column = np.indices((size, size)) * count / size
    turns = 2 * np.abs((column + 0.5) % 1 - 0.5)
    levels: Levels = ((row + turns) % 1 < rng.uniform(0.3, 0.7)).astype(np.float64)
    return levels if rng.random() < 0.5 else levels.T.copy()


def checker(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Chequered floor: squares of two tones, which may vary from square to square."""
    cells = np.indices((count, count)).sum(axis=0) % 2
    tones: Levels = np.abs(cells - rng.choice([0.0, 0.25]) * rng.uniform(0, 1, (count, count)))
    block = size // count
    return tones.repeat(block, axis=0).repeat(block, axis=1)


def grid(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Lines along both axes or along one of them, thin or wide, dark or bright."""
    place = np.arange(size) * count / size % 1
    line = place < rng.uniform(0.06, 0.35)
    both = rng.random() < 0.75
    marked = (line[:, None] | line) if both else np.broadcast_to(line, (size, size))
    levels: Levels = (marked != (rng.random() < 0.5)).astype(np.float64)
    return levels


def slabs(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Paving or tiles: squares of varied brightness between joints."""
    block = size // count
    levels = rng.uniform(rng.uniform(0, 0.8), 1.0, (count, count))
    levels = levels.repeat(block, axis=0).repeat(block, axis=1)
    joint = np.arange(size) % block < max(round(block * rng.uniform(0.0, 0.15)), 1)
    levels[joint[:, None] | joint] = rng.choice([0.0, 0.1, 1.0])
    return levels


def dots(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Discs on a lattice, straight or staggered."""
    row, column = np.indices((size, size)) * count / size
    if count > 1 and rng.random() < 0.5:
        column = column + 0.5 * (np.floor(row) % 2)
    away = np.hypot(row % 1 - 0.5, column % 1 - 0.5)
    levels: Levels = ((away < rng.uniform(0.15, 0.45)) != (rng.random() < 0.5)).astype(np.float64)
    return levels


def plaid(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Crossing bands of several widths and tones, as of a rug."""
    block = size // count
    down, right = (rng.uniform(0, 0.5, count).repeat(block) for _ in range(2))
    return np.add.outer(down, right)


def rectangles(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Overlapping rectangles of many tones, as of mats, markings and stains."""
    levels = np.full((size, size), rng.uniform())
    for _ in range(4 * count):
        row, column = rng.integers(size, size=2)
        high, wide = (size * rng.uniform(0.2, 1.5, 2) / count).astype(int) + 1
        levels[
            np.ix_(np.arange(row, row + high) % size, np.arange(column, column + wide) % size)
        ] = rng.uniform()
    return levels


PATTERNS: tuple[Pattern, ...] = (
    plain,
    clouds,
    blotches,
    camouflage,
    gravel,
    speckle,
    bands,
    zigzags,
    checker,
    grid,
    slabs,
    dots,
    plaid,
    rectangles,
)
"""The patterns of training."""
