"""Seamless patterns of the ground that training never draws, made as those of training."""

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.scenes.patterns import Levels, Pattern, smooth_noise


def hexagons(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Hexagonal paving: cells of varied tone between joints."""
    count = min(max(count, 2), 8)
    row, column = np.indices((count, count))
    centres = np.stack([row + 0.5, column + 0.5 * (row % 2) + 0.25], axis=-1).reshape(-1, 2) / count
    return _cells(size, centres, rng.uniform(0.04, 0.16) / count, rng)


def cells(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Cracked mud or crazy paving: Voronoi cells of varied tone between joints."""
    count = min(max(count, 2), 8)
    centres = rng.random((count**2, 2))
    return _cells(size, centres, rng.uniform(0.02, 0.12) / count, rng)


def bricks(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Bricks of varied tone in running bond, twice as long as they are high."""
    rows, columns = 2 * max(count // 2, 1), max(count // 2, 1)
    tones = rng.uniform(0.3, 1.0, (rows, columns))
    row, column = np.indices((size, size)) / size
    row, column = row * rows, column * columns + 0.5 * (np.floor(row * rows) % 2)
    levels: Levels = tones[row.astype(int), column.astype(int) % columns]
    mortar = rng.uniform(0.06, 0.18)
    levels[(row % 1 < mortar) | (column % 1 < mortar / 2)] = rng.choice([0.0, 1.0])
    return levels


def rings(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Wood grain: rings around a few knots, bent by noise."""
    knots = rng.random((int(rng.integers(1, 4)), 2))
    away = _nearest_two(size, knots)[0]
    bend = rng.uniform(0, 0.15) * smooth_noise(size, rng, 2.0) / count
    tones: Levels = np.tanh(rng.uniform(1, 6) * np.sin(4 * np.pi * count * (away + bend)))
    return 0.5 + 0.5 * tones


def maze(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Truchet tiles: quarter circles that join to winding paths (Smith 1987)."""
    block = size // count
    row, column = (np.indices((block, block)) + 0.5) / block
    width = rng.uniform(0.1, 0.25)
    corner, opposite = np.hypot(row, column), np.hypot(1 - row, 1 - column)
    arcs = (np.abs(corner - 0.5) < width) | (np.abs(opposite - 0.5) < width)
    turned = rng.random((count, count)) < 0.5
    tiles = np.where(turned[:, :, None, None], arcs, arcs[:, ::-1])
    levels: Levels = tiles.transpose(0, 2, 1, 3).reshape(size, size).astype(np.float64)
    return levels


def glyphs(size: int, count: int, rng: np.random.Generator) -> Levels:
    """Lines of marks that look like text: upright strokes with random crossbars."""
    lines, letters = min(count, size // 8), min(2 * count, size // 4)
    ink = rng.random((lines, letters, 8, 4)) < 0.35
    ink[:, :, 1:6, 0] |= rng.random((lines, letters, 1)) < 0.8
    ink[:, :, 6:] = False
    ink[:, :, :, 3] = False
    ink[rng.random((lines, letters)) < 0.15] = False
    page = ink.transpose(0, 2, 1, 3).reshape(lines * 8, letters * 4)
    page = page.repeat(size // len(page), axis=0).repeat(size // page.shape[1], axis=1)
    levels: Levels = (page != (rng.random() < 0.5)).astype(np.float64)
    return levels


def _cells(
    size: int, centres: NDArray[np.float64], joint: float, rng: np.random.Generator
) -> Levels:
    """Cells around centres (N, 2) in [0, 1), varied in tone, with joints of a width in sides."""
    # Half the resolution is enough, and takes a quarter of the time.
    first, second, owner = _nearest_two(size // 2, centres)
    levels: Levels = rng.uniform(0.3, 1.0, len(centres))[owner]
    levels[second - first < joint] = rng.choice([0.0, 1.0])
    return levels.repeat(2, axis=0).repeat(2, axis=1)


def _nearest_two(
    size: int, centres: NDArray[np.float64]
) -> tuple[Levels, Levels, NDArray[np.intp]]:
    """Find the two nearest of the centres (N, 2) of a tile that repeats.

    Returns:
        Distances to the nearest and to the second nearest centre, in sides of the tile, infinite
        without a second one, and the index of the nearest, each of shape (S, S).
    """
    place = (np.arange(size) + 0.5) / size
    first, second = np.full((2, size, size), np.inf)
    owner = np.zeros((size, size), dtype=np.intp)
    for number, centre in enumerate(centres):
        down, right = np.abs(place - centre[:, None])
        away = np.hypot(np.minimum(down, 1 - down)[:, None], np.minimum(right, 1 - right))
        nearer = away < first
        np.minimum(second, np.where(nearer, first, away), out=second)
        owner[nearer] = number
        np.minimum(first, away, out=first)
    return first, second, owner


HELD_OUT_PATTERNS: tuple[Pattern, ...] = (hexagons, cells, bricks, rings, maze, glyphs)
"""The patterns that training never draws."""
