"""Detect an inertial sensor of which a part is dead: a quantity, an axis, or half of the messages.

`FreezeDetector` compares whole messages. Here each of the six axes is followed on its own. An axis
that repeats its value proves nothing by itself: a coarse sensor at rest repeats values, and in a
simulator without noise an axis that does not move stays the same. An axis is *stuck* only if
something else shows that it should have changed, see `ImuLiveness._stuck`.
"""

from liquid_nav.events import SECOND, Channel
from liquid_nav.safety.warnings import SensorWarnings

REST = (0.5, 12.0)
"""Largest angular velocity in rad/s, and specific force in m/s^2, that an axis at rest can read. A
vehicle that turns or accelerates more than that shakes, so its sensors do not repeat values."""

SATURATED = (2.0, 15.0)
"""rad/s and m/s^2 below which no sensor saturates. The smallest ranges are 4.4 rad/s and 2 g."""

MOTION = (0.2, 0.7)
"""rad/s and m/s^2 by which readings, smoothed over four samples, change only if a vehicle moves."""

CLIPPED = 8
"""Times that the readings reach exactly their largest value, after which it is the sensor's."""

KNOWN = 50
"""Changes of an axis after which its usual standstills are known."""

FEW = 3
"""Changes of an axis that has hardly lived; drivers may start with values of their own."""

LONGER = 10
"""How many times longer than ever before an axis must stand still to be stuck."""

COARSE = 0.2
"""Fraction of samples that repeat the value of an axis, from which it is coarse."""

SLOW = SECOND
"""ns for which a coarse axis must stand still to be stuck."""

CALM = 0.25
"""A vehicle whose readings change by less than this fraction of what is usual may have landed."""

FAST = 8.0
"""rad/s with which no vehicle that follows velocity commands turns for a second."""

WORTH_A_WARNING = SECOND
"""ns of standstill of an axis while others move."""

_QUANTITIES = ("angular velocity", "specific force")
_UNITS = ("rad/s", "m/s^2")
_AXES = range(6)
_FAST_TEXT = (
    f"angular velocity was above {FAST:g} rad/s on average: unless the vehicle did spin, it looks "
    "like deg/s, or the gyroscope is dead; let the driver publish rad/s (REP-103)"
)


def _whole(quantity: int) -> set[int]:
    return {3 * quantity, 3 * quantity + 1, 3 * quantity + 2}


class ImuLiveness:
    """Judges each IMU sample by those before it; times in ns.

    Args:
        warnings: where suspicions go that are too weak to refuse a sample.

    """

    def __init__(self, warnings: SensorWarnings) -> None:
        self._warnings = warnings
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self._last: list[float] = []
        self._stamp = 0
        self._samples = 0
        # Whether an axis stands still or a quantity is at its largest value.
        self._suspect = True
        # Per axis: since when it stands still, how often it repeated a value, its longest
        # standstill, and the usual and the present size of its steps.
        self._since: list[int | None] = [None] * 6
        self._repeats = [0] * 6
        self._longest = [0] * 6
        self._usual = [0.0] * 6
        self._present = [0.0] * 6
        self._calm = False
        # Average of the largest angular velocity, rad/s.
        self._turning = 0.0
        self._refused: set[int] = set()
        # How often each axis came to exactly zero.
        self._zeros = [0] * 6
        # Per axis, until all are known: the smoothed reading and its extremes.
        self._smooth: list[float] = []
        self._low: list[float] = []
        self._high: list[float] = []
        # Per quantity: its largest value, since when samples have it, how often they came to it.
        self._largest = list(SATURATED)
        self._at_largest: list[int | None] = [None, None]
        self._visits = [0, 0]
        # The quantity that was zero in the last sample, and until when such samples are refused.
        self._zero: int | None = None
        self._halves_until: int | None = None

    def objection(self, sample: list[float], stamp: int, limit: float) -> str:
        """Remember a sample and return why it is refused, or an empty string.

        Args:
            sample: angular velocity x, y, z in rad/s, then specific force x, y, z in m/s^2.
            stamp: time of the sample, ns.
            limit: seconds for which values may stay the same.

        """
        last = self._last
        if not self._suspect:
            # The common case, written out because it runs for every sample.
            a, b, c, d, e, f = sample
            p, q, r, s, t, u = last
            w, g = self._largest
            if (
                a != p and b != q and c != r and d != s and e != t and f != u
                and -w < a < w and -w < b < w and -w < c < w
                and -g < d < g and -g < e < g and -g < f < g
                and a and b and c and d and e and f
            ):  # fmt: skip
                self._last, self._stamp = sample, stamp
                self._samples += 1
                if not self._samples & 7:
                    self._measure_steps(last, sample)
                return ""
        return self._examine(sample, stamp, limit)

    def _measure_steps(self, last: list[float], sample: list[float]) -> None:
        """Average the size of the steps between samples, over about 32 of these calls."""
        for i, usual in enumerate(self._usual):
            step = abs(sample[i] - last[i])
            self._usual[i] = usual + (step - usual) / 32 if usual else step
        self._turning += (max(map(abs, sample[:3])) - self._turning) / 32
        if self._turning > FAST:
            self._warnings.set(Channel.IMU, "fast", _FAST_TEXT)

    def _examine(self, sample: list[float], stamp: int, limit: float) -> str:
        last, previous = self._last or sample, self._stamp
        if sample == self._last and stamp == previous:
            return ""  # delivered twice
        allowed = round(limit * SECOND)
        standing = self._follow(last, sample, previous) if self._last else []
        self._last, self._stamp = sample, stamp
        self._samples += 1
        why = self._half_objection(sample, stamp, allowed)
        why = self._saturation(sample, stamp, limit) or why
        self._suspect = bool(standing) or self._at_largest != [None, None]
        ages = {i: stamp - since for i, since in enumerate(self._since) if since is not None}
        if len(standing) == len(_AXES):
            # The values as a whole are as old as the axis that changed last.
            if min(ages.values()) <= allowed:
                return why
            self._refused.update(standing)
            return f"frozen: unchanged for more than {limit:g} s"
        long = [i for i in standing if ages[i] > allowed]
        if not long and not self._samples & 7:
            self._measure_steps(last, sample)
        stuck = [i for i in long if self._stuck(i, ages[i], standing)]
        self._refused.update(stuck)
        # Where there is no noise, axes of both quantities stand still together.
        dead = [i for i in long if ages[i] > WORTH_A_WARNING]
        self._warn_of(dead if len({i // 3 for i in standing}) == 1 else [])
        if stuck:
            return (
                f"frozen: {_named(stuck)} unchanged for more than {limit:g} s while the rest of "
                "the IMU moves"
            )
        return why

    def _follow(self, last: list[float], sample: list[float], previous: int) -> list[int]:
        """Follow each axis, and return those that stand still."""
        if not self._suspect:
            self._present = list(self._usual)
        unknown = any(self._changes(i) < KNOWN for i in _AXES)
        if unknown and not self._smooth:
            self._smooth, self._low, self._high = list(last), list(last), list(last)
        for i in _AXES:
            since, new = self._since[i], sample[i]
            self._zeros[i] += new == 0.0 != last[i]
            if new == last[i]:
                self._repeats[i] += 1
                if since is None:
                    self._since[i] = previous
            elif since is not None:
                self._since[i] = None
                # A standstill that was refused, or that came with calm, is not usual.
                if i not in self._refused and not self._calm:
                    self._longest[i] = max(self._longest[i], previous - since)
                self._refused.discard(i)
            self._present[i] += (abs(new - last[i]) - self._present[i]) / 4
            if unknown:
                smooth = self._smooth[i] = self._smooth[i] + (new - self._smooth[i]) / 4
                self._low[i] = min(self._low[i], smooth)
                self._high[i] = max(self._high[i], smooth)
        moving = [i for i in _AXES if self._since[i] is None and self._usual[i]]
        pace = sum(self._present[i] / self._usual[i] for i in moving)
        self._calm = pace < CALM * len(moving)
        return [i for i in _AXES if self._since[i] is not None]

    def _changes(self, axis: int) -> int:
        return self._samples - self._repeats[axis]

    def _stuck(self, axis: int, age: int, standing: list[int]) -> bool:
        """Whether an axis that stands still for longer than the limit should have moved.

        It should if it reads what no axis at rest does; or if it used to change and the vehicle
        still moves as usual; or if it has never changed, while all other axes do and show motion.
        """
        quantity = axis // 3
        if abs(self._last[axis]) > REST[quantity]:
            return True
        longest, changes = self._longest[axis], self._changes(axis)
        if changes > FEW:
            whole = _whole(quantity) <= set(standing)
            # A coarse axis often repeats values, and stands for long where a slow motion turns
            # round; three axes hardly do so at once.
            coarse = changes < KNOWN or self._repeats[axis] > COARSE * self._samples
            if whole:
                longest = min(self._longest[i] for i in _whole(quantity))
            if self._calm or age <= LONGER * longest or (coarse and not whole and age <= SLOW):
                return False
            # Some drivers give zero for all that is small: one axis may then rest there.
            usual_zero = self._last[axis] == 0.0 and self._zeros[axis] > 2
            return whole or not usual_zero
        others = [i for i in _AXES if i not in standing]
        return (
            all(i // 3 == quantity for i in standing)
            and all(self._changes(i) >= KNOWN for i in others)
            and any(self._high[i] - self._low[i] > MOTION[i // 3] for i in others)
        )

    def _saturation(self, sample: list[float], stamp: int, limit: float) -> str:
        """Count samples at the largest value so far; return why one is refused, or nothing."""
        why = ""
        for q, name in enumerate(_QUANTITIES):
            largest = max(map(abs, sample[3 * q : 3 * q + 3]))
            if largest < self._largest[q]:
                self._at_largest[q] = None
                continue
            since = self._at_largest[q]
            if largest > self._largest[q]:
                self._largest[q], self._visits[q], since = largest, 0, None
            value = f"{name} at {largest:.4g} {_UNITS[q]}"
            if since is None:
                since = self._at_largest[q] = stamp
                self._visits[q] += 1
                warning = (
                    f"{value} again and again and never above: that is the end of the sensor's "
                    "range, and motion beyond it is lost; set a larger range in the driver, or "
                    "damp the vibration"
                )
                clipped = self._visits[q] >= CLIPPED
                self._warnings.set(Channel.IMU, f"{name} clipped", warning if clipped else "")
            if stamp - since > round(limit * SECOND):
                why = f"saturated: {value} for more than {limit:g} s"
        return why

    def _half_objection(self, sample: list[float], stamp: int, allowed: int) -> str:
        """Return why a sample is refused that holds one quantity, and zeros for the other."""
        zeros = [not any(sample[:3]), not any(sample[3:])]
        zero = None if zeros[0] == zeros[1] else zeros.index(True)
        if zero is not None and self._zero is not None and zero != self._zero:
            self._halves_until = stamp + allowed
        self._zero = zero
        if zero is None or self._halves_until is None or stamp > self._halves_until:
            return ""
        return f"half a measurement: {_QUANTITIES[zero]} is zero, as it is in every other message"

    def _warn_of(self, standing: list[int]) -> None:
        self._warnings.set(
            Channel.IMU,
            "standing",
            f"{_named(standing)} stands still while other axes change: that part of the sensor may "
            "be dead, or its driver may not read it; leave imu out of frozen if the source has no "
            "noise"
            if standing
            else "",
        )


def _named(axes: list[int]) -> str:
    """Name axes: a whole quantity by its name alone."""
    names = []
    for q, name in enumerate(_QUANTITIES):
        letters = [letter for i, letter in enumerate("xyz") if 3 * q + i in axes]
        if letters:
            names.append(name if len(letters) == 3 else f"{name} {', '.join(letters)}")
    return " and ".join(names)
