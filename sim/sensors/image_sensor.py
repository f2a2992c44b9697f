"""Turns light into grey levels: vignetting, auto-exposure and noise."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND
from liquid_nav_sim.render.lens import undistort
from liquid_nav_sim.sensors.camera import CameraParameters

METERED_LEVEL = 110.0
"""Mean grey level that auto-exposure aims at."""

GAIN_RANGE = (1 / 8, 8.0)
"""Smallest and largest gain of auto-exposure."""


class ImageSensor:
    """The image sensor of a camera in one flight.

    Light L, in grey levels, is reduced towards the corners by `1 - vignetting (1 - cos^4 theta)`,
    read with white Gaussian noise of variance `noise_sigma^2 + shot_noise L` (Foi et al. 2008,
    "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data"), amplified
    by the gain, rounded and clipped.

    With auto-exposure the gain of the first frame makes its mean `METERED_LEVEL`. From then on the
    logarithm of the gain follows that of the ideal gain of the previous frame with the time
    constant `auto_exposure`, so it lags by at least a frame, and it stays in `GAIN_RANGE`. Without
    auto-exposure the gain is 1.

    Args:
        model: parameters of the camera.
        rng: random stream of the noise.

    Attributes:
        gain: gain of the last frame.
    """

    def __init__(self, model: CameraParameters, rng: np.random.Generator) -> None:
        self._model, self._rng = model, rng
        self._falloff = _falloff(model) if model.vignetting else None
        self.gain = 1.0
        self._ideal_gain: float | None = None
        self._stamp = 0

    def develop(self, light: NDArray[np.uint8], stamp: int) -> NDArray[np.uint8]:
        """Turn the light of a frame into grey levels.

        Args:
            light: uint8 RGB, shape (H, W, 3).
            stamp: stamp of the frame, ns, later than that of the previous frame.

        Returns:
            uint8 RGB, shape (H, W, 3).
        """
        levels = light if self._falloff is None else light * self._falloff
        if self._model.auto_exposure:
            self._meter(float(levels.mean(dtype=np.float64)), stamp)
        noise = self._rng.standard_normal(light.shape, dtype=np.float32)
        sigma = np.float32(self._model.noise_sigma)
        if self._model.shot_noise:
            noise *= np.sqrt(sigma**2 + np.float32(self._model.shot_noise) * levels)
        else:
            noise *= sigma
        noise += levels
        if self.gain != 1:
            noise *= np.float32(self.gain)
        np.rint(noise, out=noise)
        return np.clip(noise, 0, 255, out=noise).astype(np.uint8)

    def _meter(self, brightness: float, stamp: int) -> None:
        low, high = GAIN_RANGE
        ideal = min(max(METERED_LEVEL / max(brightness, 1e-3), low), high)
        if self._ideal_gain is None:
            self.gain = ideal
        else:
            elapsed = (stamp - self._stamp) / SECOND
            decay = np.exp(-elapsed / self._model.auto_exposure)
            self.gain = float(self._ideal_gain * (self.gain / self._ideal_gain) ** decay)
        self._ideal_gain, self._stamp = ideal, stamp


@lru_cache(maxsize=16)
def _falloff(model: CameraParameters) -> NDArray[np.float32]:
    """Fraction of the light that reaches each pixel, shape (H, W, 1)."""
    pinhole = model.pinhole
    v, u = np.indices((model.height, model.width)).reshape(2, -1)
    image = np.stack([u - pinhole.cx, v - pinhole.cy]) / pinhole.focal
    x, y = undistort(image, model.distortion)
    share = 1 - model.vignetting * (1 - (1 + x * x + y * y) ** -2.0)
    return np.asarray(share.reshape(model.height, model.width, 1), dtype=np.float32)
