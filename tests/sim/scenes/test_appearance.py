"""Families of appearances: what each draws, and what none of two draws."""

import math
from colorsys import rgb_to_hsv
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.appearance import (
    FAMILIES,
    HELD_OUT,
    TRAIN,
    VARIED,
    family_of,
    sample_appearance,
    sample_weather,
)
from liquid_nav_sim.scenes.basic import FOG_SHARE
from liquid_nav_sim.scenes.colours import Palette
from liquid_nav_sim.scenes.held_out_patterns import HELD_OUT_PATTERNS
from liquid_nav_sim.scenes.patterns import PATTERNS, Pattern
from liquid_nav_sim.scenes.photographs import from_packages
from liquid_nav_sim.scenes.scene import Appearance
from liquid_nav_sim.scenes.varied import CONTRAST, VariedFamily
from liquid_nav_sim.tasks.registry import make_task

HULL = 0.18
NAMES = sorted(FAMILIES)
WIDE = [name for name in NAMES if name != "train"]
Limits = tuple[float, float]


def flat(look: Appearance) -> bytes:
    return b"".join(np.asarray(value).tobytes() for value in vars(look).values())


def draw(seed: int, family: str) -> Appearance:
    return sample_weather(np.random.default_rng(seed), family)


def hues_and_saturations(texels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Degrees from 0 to 360, and saturation and value from 0 to 1, of uint8 RGB (..., 3)."""
    hsv = cv2.cvtColor(texels.reshape(-1, 1, 3).astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hue, saturation, value = hsv.reshape(-1, 3).T
    return hue, saturation, value


# Every family


@pytest.mark.parametrize("family", NAMES)
def test_the_same_stream_gives_the_same_bytes_and_another_gives_others(family: str) -> None:
    assert flat(draw(3, family)) == flat(draw(3, family))
    assert flat(draw(3, family)) != flat(draw(4, family))


@pytest.mark.parametrize("family", NAMES)
def test_a_look_is_one_that_can_be_drawn_and_has_no_ground_as_red_as_a_target(family: str) -> None:
    for seed in range(40):
        look = draw(seed, family)
        assert look.ground.dtype == np.uint8
        assert look.ground.shape in {(n, n, 3) for n in (64, 128, 256)}
        assert 0.05 < look.ground_scale <= 41
        assert np.linalg.norm(look.light) == pytest.approx(1)
        assert look.light[2] > 0
        assert 0 <= look.ambient <= 1
        assert all(0 <= c <= 1 for c in look.sky_zenith + look.sky_horizon + look.light_colour)
        hue, saturation, value = hues_and_saturations(look.ground)
        red = (np.minimum(hue, 360 - hue) < 20) & (value > 0.4)
        assert np.mean(red & (saturation > 0.75)) < 0.01


@pytest.mark.parametrize("family", ["varied", "held-out"])
@pytest.mark.parametrize("task", ["forest", "gates"])
def test_trunks_and_gates_stand_out(family: str, task: str) -> None:
    clear = []
    for seed in range(30):
        scene = make_task(task).sample(np.random.default_rng(seed), family, HULL)
        look = scene.appearance
        light = np.array(look.light_colour)
        ground = look.ground.mean(axis=(0, 1)) / 255 * light
        for solid in scene.obstacles:
            gaps = [np.linalg.norm(solid.colour * light - c) for c in (ground, look.sky_horizon)]
            clear.append(min(gaps) >= 0.4 * CONTRAST * light.max())
    assert np.mean(clear) > 0.97


# Training and tests


def overlap(first: Limits, second: Limits) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]


def share_a_colour(first: Palette, second: Palette) -> bool:
    return all(
        overlap(a, b) for a, b in zip(vars(first).values(), vars(second).values(), strict=True)
    )


def test_held_out_shares_nothing_with_training() -> None:
    assert not set(HELD_OUT.patterns) & {*VARIED.patterns, *TRAIN.patterns}
    for hue, other in product(HELD_OUT.hues, (*VARIED.hues, TRAIN.hue)):
        assert not overlap(hue, other)
    for length in (VARIED.fog_length, TRAIN.fog_length):
        assert not overlap(HELD_OUT.fog_length, length)
    for bark, other in product(HELD_OUT.bark, (*VARIED.bark, TRAIN.bark)):
        assert not share_a_colour(bark, other)
    for paint, other in product(HELD_OUT.paint, (*VARIED.paint, TRAIN.paint)):
        assert not share_a_colour(paint, other)
    assert HELD_OUT.photograph_share == 0


@pytest.mark.parametrize("name", sorted(set(WIDE) - {"varied", "held-out"}))
def test_every_other_family_differs_from_training_in_what_training_never_draws(name: str) -> None:
    family = FAMILIES.get(name)
    assert isinstance(family, VariedFamily)
    assert (
        not set(family.patterns) & set(VARIED.patterns)
        or not any(overlap(a, b) for a, b in product(family.hues, VARIED.hues))
        or (family.photographs is not VARIED.photographs and family.photograph_share == 1)
        or not overlap(family.light, VARIED.light)
        or (family.fog_share == 1 and not overlap(family.fog_length, VARIED.fog_length))
    )


@pytest.mark.parametrize("family", ["train", "held-out", "violet"])
def test_grounds_keep_to_the_hues_of_their_family(family: str) -> None:
    kind = FAMILIES.get(family)
    hues = kind.hues if isinstance(kind, VariedFamily) else (TRAIN.hue,)
    for seed in range(40):
        look = draw(seed, family)
        hue, saturation, value = hues_and_saturations(look.ground)
        coloured = (saturation > 0.25) & (value > 0.3)
        inside = [(low - 6 <= hue) & (hue <= high + 6) for low, high in hues]
        # The brightest texels lose hue where they saturate.
        assert coloured.sum() == 0 or np.mean(np.any(inside, axis=0)[coloured]) > 0.95


def test_varied_draws_every_scale_brightness_and_many_colours() -> None:
    looks = [draw(seed, "varied") for seed in range(300)]
    scales = np.array([look.ground_scale for look in looks])
    assert scales.min() < 0.2
    assert scales.max() > 15
    means = np.array([look.ground.mean() for look in looks])
    assert means.min() < 40
    assert means.max() > 200
    light = np.array([max(look.light_colour) for look in looks])
    assert light.min() < 0.45
    assert light.max() > 0.97
    hues = [
        360 * rgb_to_hsv(*(look.ground.mean(axis=(0, 1)) / 255))[0]
        for look in looks
        if rgb_to_hsv(*(look.ground.mean(axis=(0, 1)) / 255))[1] > 0.1
    ]
    assert np.all(np.histogram(hues, bins=np.arange(0, 241, 30))[0] > 3)
    foggy = [look.fog_length for look in looks if math.isfinite(look.fog_length)]
    assert 0.08 < len(foggy) / len(looks) < 0.22


def test_one_stream_gives_the_same_solids_in_every_wide_family() -> None:
    """So that flights in two families are paired."""
    for task in ("target", "follow", "forest", "gates"):
        places = {
            np.array([solid.position for solid in scene.solids]).tobytes()
            for family in WIDE
            for scene in [make_task(task).sample(np.random.default_rng(5), family, HULL)]
        }
        assert len(places) == 1


@pytest.mark.parametrize("family", ["train", "held-out"])
def test_some_scenes_lie_in_the_fog_of_their_family(family: str) -> None:
    looks = [draw(seed, family) for seed in range(200)]
    foggy = [look for look in looks if math.isfinite(look.fog_length)]
    assert len(foggy) / len(looks) == pytest.approx(FOG_SHARE, abs=0.1)
    low, high = (TRAIN if family == "train" else HELD_OUT).fog_length
    for look in foggy:
        assert low <= look.fog_length <= high
        assert look.sky_zenith == look.sky_horizon
        assert len(set(look.sky_horizon)) == 1


def test_train_has_no_fog_in_a_task_without_weather() -> None:
    looks = [sample_appearance(np.random.default_rng(seed), "train") for seed in range(30)]
    assert all(look.fog_length == math.inf for look in looks)


def test_varied_has_grounds_with_and_without_haze_and_filter() -> None:
    looks = [draw(seed, "varied") for seed in range(100)]
    assert 0.3 < np.mean([look.haze_length == math.inf for look in looks]) < 0.7
    assert all(look.haze_length >= 15 for look in looks)
    assert 0.5 < np.mean([look.smooth for look in looks]) < 0.9


# Patterns


@pytest.mark.parametrize("count", [2, 4, 8, 16])
@pytest.mark.parametrize("pattern", PATTERNS + HELD_OUT_PATTERNS)
def test_patterns_repeat_without_a_seam(pattern: Pattern, count: int) -> None:
    steps = []
    for seed in range(12):
        drawn = pattern(128, count, np.random.default_rng(seed))
        assert drawn.shape == (128, 128)
        assert 0 <= drawn.min() <= drawn.max() <= 1
        for levels in (drawn, drawn.T):
            across = np.abs(levels[:, 0] - levels[:, -1]).mean()
            steps.append((across, np.abs(np.diff(levels, axis=1)).mean(axis=0).max()))
    # From the last column to the first is no larger a step than elsewhere.
    across, within = np.mean(steps, axis=0)
    assert across <= 1.2 * within + 1e-9


# Photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs, one green and one blue, and a text."""
    for name, colour in (("a.png", (40, 160, 60)), ("b.jpg", (160, 90, 40))):
        picture = np.full((60, 80, 3), colour, np.uint8)
        cv2.imwrite(str(tmp_path / name), picture)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_the_photographs_of_a_folder_are_the_ground(folder: Path) -> None:
    colours = [
        draw(seed, f"photographs:{folder}").ground.reshape(-1, 3).mean(axis=0) for seed in range(20)
    ]
    greenest = {int(np.argmax(colour)) for colour in colours}
    assert greenest == {1, 2}
    assert WorldConfig(appearance=f"varied:{folder}").appearance == f"varied:{folder}"


def test_photographs_come_with_the_simulator() -> None:
    looks = {draw(seed, "photographs").ground.tobytes() for seed in range(10)}
    assert len(looks) == 10


def test_photographs_of_installed_packages_are_found_without_importing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "colour_pictures"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    cv2.imwrite(str(package / "data/a.png"), np.full((50, 40, 3), (0, 0, 200), np.uint8))
    cv2.imwrite(str(package / "data/icon.png"), np.zeros((5, 4, 3), np.uint8))
    (package / "data/broken.tif").write_bytes(b"for a test of the package")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = from_packages(("colour_pictures/data/*", "no_such_package/*"))
    assert found.shape == (50, 40, 3)
    assert found[0, 0].tolist() == [200, 0, 0]


def test_a_folder_without_photographs_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"photographs in .*none': No such file"):
        WorldConfig(appearance=f"varied:{tmp_path / 'none'}")
    with pytest.raises(SimulationError, match=r"there is no file that ends in \.png, \.jpg"):
        family_of(f"photographs:{tmp_path}")
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(SimulationError, match=r"broken\.jpg': not a picture"):
        family_of(f"photographs:{tmp_path}")
    (tmp_path / "broken.jpg").write_bytes(b"")
    with pytest.raises(SimulationError, match=r"broken\.jpg': not a picture"):
        family_of(f"photographs:{tmp_path}")
    cv2.imwrite(str(tmp_path / "broken.jpg"), np.zeros((8, 90, 3), np.uint8))
    with pytest.raises(SimulationError, match=r"90 x 8 pixels are too few"):
        family_of(f"photographs:{tmp_path}")


@pytest.mark.parametrize("family", ["train", "hexagons", "held-out"])
def test_a_family_without_photographs_takes_no_folder(family: str, folder: Path) -> None:
    with pytest.raises(SimulationError, match=f"'{family}' has no photographs"):
        family_of(f"{family}:{folder}")
