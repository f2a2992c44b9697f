"""Compare an IMU with gravity and with the attitude of odometry: are its units and axes right?

An accelerometer at rest feels 9.81 m/s^2 upwards (REP-145), so the mean specific force shows a
wrong unit, a wrong axis, and gravity that was taken out. A gyroscope must turn as odometry does.

The comparison with gravity goes on until the two agree once, for half a second. A steady
contradiction before that makes the IMU unfit; anything less clear is a warning. A vehicle that is
carried, thrown or dropped at the start therefore becomes fit when it is first upright.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND, Channel, Odometry
from liquid_nav.rotations import Vector, compose, inverse, rotate, to_matrix
from liquid_nav.safety.warnings import SensorWarnings

ABSURD = 1e6
"""A sample with a larger number, rad/s or m/s^2, says nothing: its square may be infinite."""

Array = NDArray[Any]

GRAVITY = 9.80665
"""m/s^2."""

WINDOW = SECOND // 2
"""ns over which readings are averaged; at least `SAMPLES` samples."""

SAMPLES = 10

AGREES = 0.15
"""Relative error up to which a mean specific force is that of gravity, and its unit known."""

STEADY = 0.05
"""Standard deviation of a steady specific force, as a fraction of its mean."""

NOT_FELT = 0.7
"""m/s^2, or g: a mean specific force below it is no gravity in any unit."""

UPRIGHT = math.cos(math.radians(30))
"""Cosine of the largest angle between specific force and up of a vehicle that is upright."""

ALONG = math.cos(math.radians(25))
"""Cosine of the largest angle between specific force and an axis that it is along."""

UNFIT = 2
"""Windows in a row with the same steady contradiction that make an IMU unfit; twice as many for
gravity that is not felt, because it is not felt in a fall either."""

PATIENCE = 4
"""Windows in a row that contradict gravity, steadily or not, and so make a warning."""

TURNED = 0.5
"""rad^2: sum of squared turns after which gyroscope and odometry can be compared."""

LEAST = 0.05
"""rad: a turn between two attitudes that is more than noise."""

UNLIKE = 0.4
"""Squared error of the gyroscope against odometry, as a fraction, from which they disagree."""

INTERVAL = SECOND // 4
"""ns between two attitudes that are compared with the gyroscope."""

_UNITS = (
    (1.0, "g", "multiply by 9.80665"),
    (1000.0, "milli-g or cm/s^2", "multiply by 0.00980665 or 0.01"),
    (GRAVITY / 0.3048, "ft/s^2", "multiply by 0.3048"),
)
"""What gravity reads in other units: the reading, the unit, and what the driver has to do."""

_HALF = math.sqrt(0.5)

_AXES = {
    "-z": ((1.0, 0.0, 0.0, 0.0), "FRD axes, an IMU mounted upside down, or a reversed sign"),
    "-y": ((-0.5, 0.5, -0.5, 0.5), "optical axes (z forward, y down) or an IMU on its side"),
    "+y": ((_HALF, 0.0, 0.0, _HALF), "an IMU mounted on its side"),
    "+x": ((0.0, -_HALF, 0.0, _HALF), "an IMU mounted on end"),
    "-x": ((0.0, _HALF, 0.0, _HALF), "an IMU mounted on end"),
}
"""By the axis that feels gravity: a rotation into body FLU as x, y, z, w, and the likely cause."""

_MEND = "let the driver publish m/s^2 and rad/s (REP-103, REP-145)"


class Finding(NamedTuple):
    """A contradiction: a short name, a sentence, and whether it can hardly have another cause."""

    cause: str
    text: str
    clear: bool


class GravityCheck:
    """Compares an IMU with gravity, and with the attitude of odometry where there is any.

    Args:
        warnings: where the findings go.

    Attributes:
        unfit: why the IMU must not fly; empty if it may.
        watching: whether it still needs samples.

    """

    def __init__(self, warnings: SensorWarnings) -> None:
        self._warnings = warnings
        self.reset()

    def reset(self) -> None:
        """Forget all samples and findings."""
        self.unfit = ""
        self.watching = True
        self._agreed = False
        self._finding: Finding | None = None
        self._windows = self._steady = 0
        self._window: list[tuple[int, list[float]]] = []
        # The newest odometry, the attitude that the gyroscope is compared from, and its readings.
        self._odometry: Odometry | None = None
        self._from: Odometry | None = None
        self._rates: deque[tuple[int, list[float]]] = deque(maxlen=4000)
        self._turns: list[tuple[Array, Array]] = []
        self._turned = 0.0

    def add(self, sample: list[float], stamp: int) -> None:
        """Look at a sample: angular velocity x, y, z, then specific force x, y, z; stamp in ns."""
        if not all(abs(value) < ABSURD for value in sample):
            return
        if self._from is not None:
            self._rates.append((stamp, sample))
        if self._agreed:
            return
        window = self._window
        if window and stamp < window[-1][0]:
            return
        window.append((stamp, sample))
        if stamp - window[0][0] >= WINDOW and len(window) >= SAMPLES:
            self._window = []
            self._judge_force(np.array([values[3:] for _, values in window]))

    def locate(self, odometry: Odometry) -> None:
        """Look at odometry, with which gravity and gyroscope can be compared."""
        self._odometry = odometry
        before = self._from
        if before is None:
            self.watching = True
        elif odometry.stamp - before.stamp < INTERVAL:
            return
        else:
            self._compare(before, odometry)
        self._from = odometry

    def _judge_force(self, force: Array) -> None:
        """Compare a window of specific forces, shape (K, 3), with gravity."""
        mean = force.mean(axis=0)
        size = math.hypot(*mean.tolist())
        finding = self._contradiction(mean, size)
        if finding is None:
            self._agreed, self.unfit = True, ""
            self.watching = self._from is not None
            self._warnings.set(Channel.IMU, "gravity", "")
            return
        if self._finding is None or finding.cause != self._finding.cause:
            self._finding, self._steady = finding, 0
        # The first words stay, so that a reason does not change with every digit.
        finding = self._finding
        steady = force.std(axis=0).max() < (STEADY * size if size > NOT_FELT / 2 else NOT_FELT / 2)
        self._steady = self._steady + 1 if steady else 0
        self._windows += 1
        needed = 2 * UNFIT if finding.cause == "none" else UNFIT
        self.unfit = f"imu: {finding.text}" if finding.clear and self._steady >= needed else ""
        shown = self.unfit or self._windows >= PATIENCE
        self._warnings.set(Channel.IMU, "gravity", finding.text if shown else "")

    def _contradiction(self, mean: Array, size: float) -> Finding | None:
        """Return what is wrong with a mean specific force; None if it is that of gravity."""
        right = f"where {GRAVITY:.2f} m/s^2 on +z is right"
        if size < NOT_FELT:
            return Finding(
                "none",
                f"mean specific force is {size:.2g}, {right}: gravity was taken out (linear "
                "acceleration), or the accelerometer is dead; let the driver publish what the "
                "accelerometer feels (REP-145)",
                True,
            )
        along = self._axis(mean / size)
        wrong = ""
        if along in _AXES:
            (x, y, z, w), cause = _AXES[along]
            wrong = (
                f"it looks like {cause}; set imu_rotation to [{x:.4g}, {y:.4g}, {z:.4g}, {w:.4g}] "
                "(if it is the identity now), or let the driver publish body FLU"
            )
        read = f"mean specific force is {size:.3g} on {along}, {right}"
        for value, unit, factor in _UNITS:
            if abs(size / value - 1) < AGREES:
                text = f"{read}: it looks like {unit}; let the driver {factor} (REP-145)"
                return Finding(unit + along, f"{text}; {wrong}" if wrong else text, True)
        if abs(size / GRAVITY - 1) < AGREES:
            if along == "+z":
                return None
            if wrong:
                return Finding(along, f"{read}: {wrong}", True)
            return Finding(
                "tilted",
                f"{read}: the vehicle stands tilted, or its IMU is mounted at an angle; see "
                "imu_rotation",
                False,
            )
        return Finding(
            "scale",
            f"{read}: its unit or scale is wrong, unless the vehicle accelerates; {_MEND}",
            not 0.5 < size / GRAVITY < 2.0,
        )

    def _axis(self, direction: Array) -> str:
        """Name the axis along which gravity is felt: +z if it is up by odometry, or upright."""
        up: Vector = (0.0, 0.0, 1.0)
        if self._odometry is not None:
            up = rotate(inverse(self._odometry.orientation.tolist()), up)
        if float(direction @ up) > UPRIGHT:
            return "+z"
        i = int(np.abs(direction).argmax())
        # Between two axes, or where odometry says that the vehicle does not stand upright.
        if abs(direction[i]) < ALONG or up[2] < UPRIGHT:
            return "no axis of a level vehicle"
        return f"{'+' if direction[i] > 0 else '-'}{'xyz'[i]}"

    def _compare(self, before: Odometry, after: Odometry) -> None:
        """Compare the gyroscope with the turn between two attitudes."""
        inside = [(t, w) for t, w in self._rates if before.stamp <= t < after.stamp]
        while self._rates and self._rates[0][0] < after.stamp:
            self._rates.popleft()
        elapsed = (after.stamp - before.stamp) / SECOND
        if len(inside) < SAMPLES / 2 or elapsed > 4 * INTERVAL / SECOND:
            return
        true = _rotation_vector(before.orientation.tolist(), after.orientation.tolist())
        measured = np.mean([values[:3] for _, values in inside], axis=0) * elapsed
        turn = max(float(measured @ measured), float(true @ true))
        if turn < LEAST**2:
            return
        self._turns.append((measured, true))
        self._turned += turn
        if self._turned > TURNED and len(self._turns) >= PATIENCE:
            measured, true = map(np.array, zip(*self._turns, strict=True))
            self._judge_gyroscope(measured, true)
            self._turns, self._turned = [], 0.0

    def _judge_gyroscope(self, measured: Array, true: Array) -> None:
        """Compare turns by the gyroscope with those by odometry, both of shape (K, 3)."""
        size = float((measured**2).sum())

        def error(expected: Array) -> float:
            return float(((measured - expected) ** 2).sum()) / max(size, 1e-9)

        if error(true) < UNLIKE:
            self._warnings.set(Channel.IMU, "gyroscope", "")
            return
        causes = {"it looks like deg/s; " + _MEND: true * math.degrees(1)}
        for (*turn, w), cause in _AXES.values():
            text = f"it looks like {cause}; see imu_rotation"
            causes[text] = true @ to_matrix((*turn, w))
            both = f"it looks like deg/s, and like {cause}; {_MEND}"
            causes[both] = causes[text] * math.degrees(1)
        text, expected = min(causes.items(), key=lambda item: error(item[1]))
        if error(expected) > UNLIKE:
            text = "its axes, its unit or its range are wrong, or the odometry is"
        self._warnings.set(
            Channel.IMU, "gyroscope", f"angular velocity does not turn as odometry does: {text}"
        )


def _rotation_vector(before: Sequence[float], after: Sequence[float]) -> Array:
    """Rotation from one orientation to another, in the body frame, as axis times radians."""
    x, y, z, w = compose(inverse(before), after)
    sine = math.sqrt(x * x + y * y + z * z)
    if sine == 0.0:
        return np.zeros(3)
    angle = 2 * math.atan2(sine, abs(w)) * math.copysign(1.0, w)
    return np.array((x, y, z)) * (angle / sine)
