"""Vibration of the rotors as an IMU feels it: tones at their true speeds, which alias."""

import math

import numpy as np

from liquid_nav.events import SECOND
from liquid_nav_sim.sensors.imu_parameters import ImuParameters
from liquid_nav_sim.vehicle.state import Motion

DAMAGE_VIBRATION = 12.0
"""Standard deviation of the accelerometer's vibration from a rotor of damage 1 in hover, m/s^2."""

DAMAGE_GYRO_VIBRATION = 0.3
"""Standard deviation of the gyroscope's vibration from a rotor of damage 1 in hover, rad/s."""


class Vibration:
    """Vibration of one vehicle at the place of one IMU.

    An unbalanced rotor shakes the vehicle once a revolution, and its blades each time that one of
    them passes an arm. Both tones are sine waves of the rotor's angle at the time of the sample, so
    a tone above half the sample rate aliases as in a real sensor. Amplitudes grow with the square
    of the rotor speed. How strongly, and in which phase, each rotor shakes each axis is drawn for
    the flight, since that depends on the frame.

    A low-pass filter of the sensor acts on each tone with its gain and phase at the tone's
    frequency, which is exact as long as the speeds change slowly.

    Args:
        model: the IMU.
        hover_speed: speed of the rotors at which the amplitudes are those of the model, rad/s.
        rng: random stream.
    """

    def __init__(self, model: ImuParameters, hover_speed: float, rng: np.random.Generator) -> None:
        # All are always drawn, so that no field changes the draws of the others.
        gains = np.exp(0.4 * rng.standard_normal((3, 4, 6)))
        phases = rng.uniform(0.0, 2 * math.pi, (3, 4, 6))
        spread = rng.uniform(-1.0, 1.0, 4)
        deviation = np.repeat((model.gyro_vibration, model.accel_vibration), 3)
        damage = np.repeat((DAMAGE_GYRO_VIBRATION, DAMAGE_VIBRATION), 3)
        share = model.blade_pass
        # Of three amplitudes: imbalance, blades, damage. The first two are scaled so that the
        # deviations of the four rotors add up to that of the model on every axis.
        gains[0] *= np.reshape(model.rotor_imbalance, (4, 1))
        gains[:2] /= np.sqrt((gains[:2] ** 2).sum(axis=1, keepdims=True))
        scale = np.stack([math.sqrt(1 - share) * deviation, math.sqrt(share) * deviation, damage])
        amplitudes = math.sqrt(2) * scale[:, None, :] * gains
        self._sines: list[list[list[float]]] = (amplitudes * np.cos(phases)).tolist()
        self._cosines: list[list[list[float]]] = (amplitudes * np.sin(phases)).tolist()
        self._rates: list[float] = (1 + model.rotor_spread * spread).tolist()
        self._shakes = bool(deviation.any())
        self._blades = float(model.blades)
        self._hover_speed = hover_speed
        self._cutoff, self._order = 2 * math.pi * model.filter_cutoff, model.filter_order

    def add(self, reading: list[float], motion: Motion, stamp: int) -> None:
        """Add the vibration at `stamp` ns to a reading: rad/s on three axes, m/s^2 on three."""
        rotors = motion.rotors
        if rotors is None or not (self._shakes or any(rotors.damage)):
            return
        share = motion.share(stamp)
        seconds = (motion.end - motion.start) / SECOND
        for rotor in range(4):
            rate, before = self._rates[rotor], rotors.before[rotor]
            turn = rate * (rotors.after[rotor] - before)
            angle = rate * before + share * turn
            speed = turn / seconds
            strength = speed / self._hover_speed
            strength *= strength
            damage = rotors.damage[rotor] * strength
            if self._shakes:
                self._add_tone(reading, 0, rotor, strength, angle, speed)
                blades = self._blades
                self._add_tone(reading, 1, rotor, strength, blades * angle, blades * speed)
            if damage > 0.0:
                self._add_tone(reading, 2, rotor, damage, angle, speed)

    def _add_tone(
        self, reading: list[float], kind: int, rotor: int, size: float, angle: float, speed: float
    ) -> None:
        sine, cosine = size * math.sin(angle), size * math.cos(angle)
        if self._cutoff > 0.0:
            real, imaginary = response(speed / self._cutoff, self._order)
            sine, cosine = (
                real * sine + imaginary * cosine,
                real * cosine - imaginary * sine,
            )
        sines, cosines = self._sines[kind][rotor], self._cosines[kind][rotor]
        for axis in range(6):
            reading[axis] += sines[axis] * sine + cosines[axis] * cosine


def response(ratio: float, order: int) -> tuple[float, float]:
    """Real and imaginary part of a Butterworth low-pass filter's gain, of order 1 or 2.

    Args:
        ratio: frequency divided by the cutoff frequency.
        order: order of the filter.
    """
    if order == 1:
        size = 1 + ratio * ratio
        return 1 / size, -ratio / size
    real, imaginary = 1 - ratio * ratio, math.sqrt(2) * ratio
    size = real * real + imaginary * imaginary
    return real / size, -imaginary / size


class LowPass:
    """A Butterworth low-pass filter of order 1 or 2 for one signal, exact for any step.

    Args:
        cutoff: frequency at which it halves the power, Hz.
        order: 1 or 2.
    """

    def __init__(self, cutoff: float, order: int) -> None:
        self._cutoff, self._order = 2 * math.pi * cutoff, order
        self._started = False
        self._slope = 0.0
        self.value = 0.0

    def advance(self, held: float, dt: float) -> None:
        """Advance by `dt` seconds in which the input is `held`; it begins settled at the first."""
        if not self._started:
            self._started = True
            self.value = held
        off = self.value - held
        if self._order == 1:
            self.value = held + off * math.exp(-self._cutoff * dt)
            return
        # The poles are at -rate (1 +- i).
        rate = self._cutoff / math.sqrt(2)
        decay, phase = math.exp(-rate * dt), rate * dt
        cosine, sine = decay * math.cos(phase), decay * math.sin(phase)
        slope = self._slope
        self.value = held + off * cosine + (slope / rate + off) * sine
        self._slope = slope * cosine - (2 * rate * off + slope) * sine
