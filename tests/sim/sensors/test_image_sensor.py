"""Vignetting, auto-exposure and noise against their formulas."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from numpy.typing import NDArray

from camera_support import LARGE
from liquid_nav.events import SECOND
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.image_sensor import GAIN_RANGE, METERED_LEVEL, ImageSensor

SILENT = replace(LARGE, noise_sigma=0.0)


def grey(level: int, model: CameraModel = LARGE) -> NDArray[np.uint8]:
    return np.full((model.height, model.width, 3), level, np.uint8)


def sensor(model: CameraModel, seed: int = 1) -> ImageSensor:
    return ImageSensor(model, np.random.default_rng(seed))


# Noise


def test_read_noise_has_its_sigma_and_stays_in_range() -> None:
    model = replace(LARGE, noise_sigma=5.0)
    noisy = sensor(model).develop(grey(128), 0)
    assert noisy.dtype == np.uint8
    assert noisy.mean() == pytest.approx(128, abs=0.1)
    assert noisy.std() == pytest.approx(np.hypot(5, 12**-0.5), rel=0.02)
    np.testing.assert_array_equal(noisy, sensor(model).develop(grey(128), 0))
    assert np.any(noisy != sensor(model, 2).develop(grey(128), 0))
    np.testing.assert_array_equal(sensor(SILENT).develop(grey(128), 0), grey(128))
    assert sensor(model).develop(grey(255), 0).min() > 220


@pytest.mark.parametrize("level", [10, 60, 200])
def test_shot_noise_grows_with_the_light(level: int) -> None:
    model = replace(LARGE, noise_sigma=2.0, shot_noise=0.2)
    noisy = sensor(model).develop(grey(level), 0)
    assert noisy.mean() == pytest.approx(level, abs=0.1)
    assert noisy.var() == pytest.approx(4 + 0.2 * level + 1 / 12, rel=0.03)


def test_the_gain_amplifies_the_noise() -> None:
    model = replace(LARGE, noise_sigma=2.0, shot_noise=0.2, auto_exposure=1.0)
    chip = sensor(model)
    noisy = chip.develop(grey(20), 0)
    assert chip.gain == pytest.approx(METERED_LEVEL / 20)
    assert noisy.mean() == pytest.approx(METERED_LEVEL, abs=0.2)
    assert noisy.var() == pytest.approx((4 + 0.2 * 20) * chip.gain**2 + 1 / 12, rel=0.03)


# Vignetting


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_light_falls_with_the_fourth_power_of_the_cosine(share: float) -> None:
    model = replace(SILENT, vignetting=share)
    found = sensor(model).develop(grey(200), 0)[..., 1]
    v, u = np.indices(found.shape)
    focal = model.focal_length
    cosine = focal / np.sqrt((u - 159.5) ** 2 + (v - 119.5) ** 2 + focal**2)
    np.testing.assert_allclose(found, 200 * (1 - share * (1 - cosine**4)), atol=0.51)
    assert found[120, 160] == 200
    assert found[0, 0] < 200 * (1 - 0.7 * share)


def test_light_falls_with_the_angle_of_the_ray_not_of_the_pixel() -> None:
    straight = replace(SILENT, vignetting=1.0)
    bent = replace(straight, distortion=(-0.28, 0.074, 0.0, 0.0, 0.0))
    plain, barrel = (sensor(model).develop(grey(200), 0)[..., 0] for model in (straight, bent))
    # A barrel lens squeezes rays from farther out into the corners.
    assert barrel[0, 0] < plain[0, 0] - 10
    assert barrel[120, 160] == plain[120, 160]


# Auto-exposure


def test_the_gain_follows_the_brightness_with_its_time_constant() -> None:
    model = replace(SILENT, auto_exposure=0.5)
    chip = sensor(model)
    period = SECOND // 20
    levels = [40] * 4 + [160] * 30 + [40] * 30
    gains = []
    for number, level in enumerate(levels):
        image = chip.develop(grey(level), number * period)
        gains.append(chip.gain)
        np.testing.assert_array_equal(image, min(round(chip.gain * level), 255))
    # The same in closed form: log gain relaxes to that of the frame before.
    expected = log(METERED_LEVEL / 40)
    for number, gain in enumerate(gains):
        if number:
            wanted = log(METERED_LEVEL / levels[number - 1])
            expected = wanted + (expected - wanted) * exp(-0.05 / 0.5)
        assert log(gain) == pytest.approx(expected, abs=1e-9)
    # One time constant after the first frame that could see the step, 63 % of it is made up.
    start, end = log(gains[4]), log(METERED_LEVEL / 160)
    assert (log(gains[14]) - start) / (end - start) == pytest.approx(1 - exp(-1), abs=1e-6)
    # At once after the step to bright the frame is blown out: that is the lag.
    assert gains[4] * 160 > 255


def test_the_gain_depends_on_time_and_not_on_the_number_of_frames() -> None:
    model = replace(SILENT, auto_exposure=0.5)
    gains = []
    for count in (2, 8):
        chip = sensor(model)
        chip.develop(grey(40), 0)
        for number in range(count + 1):
            chip.develop(grey(160), SECOND // 2 + number * SECOND // count)
        gains.append(chip.gain)
    assert gains[0] == pytest.approx(gains[1], rel=1e-9)


def test_the_gain_has_its_limits() -> None:
    model = replace(SILENT, auto_exposure=0.5)
    chip = sensor(model)
    assert chip.develop(grey(0), 0).max() == 0
    assert chip.gain == GAIN_RANGE[1]
    for number in range(100):
        chip.develop(grey(255), number * SECOND)
    assert chip.gain == pytest.approx(METERED_LEVEL / 255)
    assert sensor(SILENT).gain == 1
