"""Each change of the images does what it says, in every image of a flight, and nothing else."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.learning.data.images import Frames, ImageChange


def frames(count: int = 3, seed: int = 0) -> Frames:
    """Images of coloured stripes with a little grain."""
    rng = np.random.default_rng(seed)
    stripes = np.repeat(rng.integers(40, 200, (count, 48, 8, 3)), 8, axis=2)
    return (stripes + rng.integers(0, 10, stripes.shape)).astype(np.uint8)


def grey(level: int, count: int = 2) -> Frames:
    return np.full((count, 48, 64, 3), level, np.uint8)


def changed(images: Frames, seed: int = 0, **change: Any) -> NDArray[np.float64]:
    before = images.copy()
    after = ImageChange(**change).filter(np.random.default_rng(seed))(images)
    assert (images == before).all()
    assert after.dtype == np.uint8
    assert after.shape == images.shape
    return after.astype(float)


def test_without_a_change_the_images_are_the_same() -> None:
    images = frames()
    assert ImageChange().filter(np.random.default_rng(0))(images) is images


def test_brightness_is_a_factor() -> None:
    np.testing.assert_array_equal(changed(frames(), brightness=0.25), np.rint(frames() * 0.25))
    assert changed(grey(200), brightness=2.0).min() == 255


def test_a_cast_is_a_factor_of_each_colour() -> None:
    after = changed(grey(100), cast=(0.5, 1.0, 1.5))
    assert np.unique(after.reshape(-1, 3), axis=0).tolist() == [[50, 100, 150]]


def test_contrast_draws_the_levels_to_the_pivot() -> None:
    after = changed(frames(), contrast=0.5, pivot=100.0)
    np.testing.assert_allclose(after, 100 + (frames() - 100.0) * 0.5, atol=0.5)
    assert changed(grey(100), contrast=3.0, pivot=100.0).tolist() == grey(100).tolist()


def test_gamma_bends_the_levels_between_black_and_white() -> None:
    after = changed(frames(), gamma=2.0)
    np.testing.assert_allclose(after, 255 * (frames() / 255) ** 2, atol=0.5)
    assert {changed(grey(level), gamma=2.0).max() - level for level in (0, 255)} == {0}


def test_saturation_leaves_the_brightness() -> None:
    luma = np.array([0.299, 0.587, 0.114])
    without = changed(frames(), saturation=0.0)
    assert np.ptp(without, axis=3).max() <= 1
    np.testing.assert_allclose(without @ luma, frames() @ luma, atol=1.0)
    assert (
        np.ptp(changed(frames(), saturation=1.3), axis=3).mean() > np.ptp(frames(), axis=3).mean()
    )


def test_noise_has_its_size_and_differs_from_image_to_image() -> None:
    noise = changed(grey(128, 20), noise=20.0) - 128
    assert noise.std() == pytest.approx(20, rel=0.03)
    # Numbers below a whole one are cut off.
    assert noise.mean() == pytest.approx(-0.5, abs=0.3)
    one, other = noise[0].ravel(), noise[1].ravel()
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05


def test_blur_smooths_and_keeps_the_mean() -> None:
    image = grey(0, 1)
    image[0, 24, 32] = 255
    after = changed(image, blur=1.0)[0, :, :, 0]
    spread = np.sqrt((after.sum(1) / after.sum() * (np.arange(48) - 24) ** 2).sum())
    assert spread == pytest.approx(1.0, abs=0.15)
    assert after.sum() == pytest.approx(255, rel=0.15)


def test_jpeg_loses_more_at_a_lower_quality_and_keeps_the_colours() -> None:
    errors = [np.abs(changed(frames(), jpeg=quality) - frames()).mean() for quality in (95, 50, 5)]
    assert 0 < errors[0] < errors[1] < errors[2]
    red = np.zeros((1, 48, 64, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_allclose(changed(red, jpeg=80), red, atol=6)


def test_dirt_covers_its_share_and_stays_where_it_is() -> None:
    images = grey(200, 4)
    after = changed(images, dirt=0.2)
    np.testing.assert_array_equal(after, after[:1].repeat(4, axis=0))
    covered = (np.abs(after[0] - 200).max(axis=2) > 5).mean()
    assert 0.15 < covered < 0.4


CHANGES: list[dict[str, Any]] = [
    {"dirt": 0.1},
    {"blur": 0.8},
    {"noise": 15.0},
    {"jpeg": 40},
    {"dirt": 0.05, "blur": 0.5, "brightness": 0.5, "noise": 10.0, "jpeg": 30, "saturation": 0.5},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "+".join(change))
def test_a_flight_has_dirt_and_noise_of_its_own_and_the_same_again(change: dict[str, Any]) -> None:
    assert (changed(frames(), 1, **change) == changed(frames(), 1, **change)).all()
    if {"dirt", "noise"} & change.keys():
        assert (changed(frames(), 1, **change) != changed(frames(), 2, **change)).any()


def test_pieces_of_a_flight_may_hold_no_image() -> None:
    change = ImageChange(noise=5.0, dirt=0.1).filter(np.random.default_rng(0))
    assert change(frames(0)).shape == (0, 48, 64, 3)


def test_drawn_changes_are_seeded_and_leave_some_flights_as_they_are() -> None:
    drawn = [ImageChange.drawn(np.random.default_rng(seed)) for seed in range(300)]
    assert drawn == [ImageChange.drawn(np.random.default_rng(seed)) for seed in range(300)]
    assert 60 < drawn.count(ImageChange()) < 120
    for field in fields(ImageChange):
        assert len({getattr(change, field.name) for change in drawn}) > 10


NOT_FINITE = (float("nan"), float("inf"), -float("inf"))


@pytest.mark.parametrize("name", [field.name for field in fields(ImageChange)])
@pytest.mark.parametrize("bad", [*NOT_FINITE, -1, 1000, "1", None, True, (1.0, 1.0)], ids=str)
def test_values_that_make_no_sense_are_refused_by_name(name: str, bad: object) -> None:
    with pytest.raises(ConfigError, match=f"the image change {name} must be .* from "):
        ImageChange(**{name: bad})


def test_a_quality_of_jpeg_is_a_whole_number() -> None:
    with pytest.raises(ConfigError, match="must be a whole number from 0 to 100, got 50"):
        ImageChange(jpeg=50.5)  # type: ignore[arg-type]
