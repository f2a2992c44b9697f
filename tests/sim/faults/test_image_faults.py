"""Images of a broken camera: what is lost, how much, and that it repeats."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.images import (
    DIRT_COLOUR,
    black,
    dirt,
    lens_dirt,
    noise_burst,
    wrong_exposure,
)

RAMP = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 256, 1), 3, axis=2).repeat(192, axis=0)


def test_black_is_black() -> None:
    assert not black(RAMP).any()
    assert black(RAMP).shape == RAMP.shape


@given(gain=st.floats(0.01, 100))
def test_light_is_multiplied_until_it_saturates(gain: float) -> None:
    levels = wrong_exposure(RAMP, gain)[0, :, 0].astype(int)
    expected = np.minimum(np.arange(256) * gain, 255)
    np.testing.assert_allclose(levels, expected, atol=0.5)
    assert (np.diff(levels) >= 0).all()


def test_a_burst_has_its_sigma_and_its_seed() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = noise_burst(grey, 20.0, 5)
    assert noisy.std() == pytest.approx(np.hypot(20, 12**-0.5), rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.2)
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.02
    np.testing.assert_array_equal(noisy, noise_burst(grey, 20.0, 5))
    assert np.any(noisy != noise_burst(grey, 20.0, 6))
    np.testing.assert_array_equal(noise_burst(grey, 0.0, 5), grey)


@pytest.mark.parametrize("cover", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_dirt_covers_its_share_in_soft_blobs(cover: float, seed: int) -> None:
    opacity = dirt(192, 256, cover, seed)
    assert np.mean(opacity > 0.5) == pytest.approx(cover, abs=0.005)
    assert opacity.min() >= 0
    assert opacity.max() <= 1
    # Blurred: from pixel to pixel it never jumps, and some of it lies between clear and opaque.
    assert max(np.abs(np.diff(opacity, axis=axis)).max() for axis in (0, 1)) < 0.3
    assert np.mean((opacity > 0.1) & (opacity < 0.9)) > 0.02
    dirty = lens_dirt(RAMP, cover, seed)
    np.testing.assert_array_equal(dirty[opacity == 0], RAMP[opacity == 0])
    assert (dirty[opacity == 1] == DIRT_COLOUR).all()


def test_dirt_stays_on_the_lens_and_grows() -> None:
    white = np.full_like(RAMP, 255)
    # What it lets through, told from two images, is the same whatever the image.
    bright, dim = (lens_dirt(image, 0.3, 7)[..., 0].astype(int) for image in (white, white - 100))
    np.testing.assert_allclose((bright - dim) / 100, 1 - dirt(192, 256, 0.3, 7), atol=0.011)
    little, much = dirt(192, 256, 0.1, 7), dirt(192, 256, 0.3, 7)
    assert (much >= little).all()
    assert np.any(dirt(192, 256, 0.3, 8) != much)
    np.testing.assert_array_equal(lens_dirt(RAMP, 0.0, 7), RAMP)
    coarse = much.reshape(48, 4, 64, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(dirt(48, 64, 0.3, 7), coarse, atol=0.15)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("gain", lambda value: wrong_exposure(RAMP, value)),
        ("sigma", lambda value: noise_burst(RAMP, value, 0)),
        ("cover", lambda value: lens_dirt(RAMP, value, 0)),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    name: str, fault: Callable[[float], Any], value: float
) -> None:
    with pytest.raises(SimulationError, match=name):
        fault(value)
    for seeded in (lambda: noise_burst(RAMP, 1.0, -1), lambda: lens_dirt(RAMP, 0.1, -1)):
        with pytest.raises(SimulationError, match="seed"):
            seeded()
