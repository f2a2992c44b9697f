"""Checks of a vehicle before a policy flies it: do its sensors and commands mean what ours do?

One short flight by fixed commands shows it. Every check that fails says what is wrong and what
would mend it.
"""

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav.onboard import PolicyCamera
from liquid_nav.vehicle import Vehicle
from liquid_nav_sim.vehicle.state import GRAVITY

REST = 1.5
"""Seconds of hover at the start, and between two steps."""
STEP, SPEED = 1.5, 0.6
"""Seconds and m/s of each step of velocity."""
TURN, YAW_RATE = 2.0, 0.6
"""Seconds and rad/s of the turn to the left."""

BETWEEN = 0.2
"""Seconds between two frames of the turn that are compared."""

DIRECTIONS = ("forward", "left", "up")


@dataclass(frozen=True)
class Check:
    """The verdict of one check.

    Attributes:
        name: what was checked.
        passed: the verdict; None if it could not be checked.
        found: what was measured; of a check that failed also the likely cause and what mends it.

    """

    name: str
    passed: bool | None
    found: str


@dataclass(frozen=True)
class Phase:
    """A part of the flight with one command.

    Attributes:
        name: rest, one of `DIRECTIONS`, or turn.
        seconds: how long it lasts.
        command: vx, vy, vz, yaw_rate.

    """

    name: str
    seconds: float
    command: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def _along(axis: int) -> tuple[float, float, float, float]:
    vx, vy, vz = (SPEED * (axis == i) for i in range(3))
    return (vx, vy, vz, 0.0)


FLIGHT = (
    Phase("rest", REST),
    *(
        phase
        for axis, name in enumerate(DIRECTIONS)
        for phase in (
            Phase(name, STEP, _along(axis)),
            Phase("stop", REST),
        )
    ),
    Phase("turn", TURN, (0.0, 0.0, 0.0, YAW_RATE)),
)


@dataclass
class Seen:
    """What was seen in one phase of the flight.

    Attributes:
        imu: time of arrival, seconds since the start of the phase, with angular velocity and
            specific force, shape (6,).
        frames: time of arrival, likewise, with the image.
        places: position at the start and at the end, metres, world ENU; none without the truth.

    """

    imu: list[tuple[float, NDArray[np.float64]]] = field(default_factory=list)
    frames: list[tuple[float, NDArray[np.uint8]]] = field(default_factory=list)
    places: list[NDArray[np.float64]] = field(default_factory=list)

    def note(self, event: Event, time: float) -> None:
        """Keep an event that arrived `time` seconds after the start of the phase."""
        if isinstance(event, ImuSample):
            self.imu.append((time, np.array([*event.angular_velocity, *event.specific_force])))
        elif isinstance(event, CameraFrame):
            self.frames.append((time, event.image))

    def settled(self) -> NDArray[np.float64]:
        """Mean of the samples in the second half of the phase, shape (6,); NaN without any."""
        late = [sample for time, sample in self.imu if time > self.imu[-1][0] / 2]
        return np.mean(late, axis=0) if late else np.full(6, np.nan)


def check_vehicle(vehicle: Vehicle) -> list[Check]:
    """Fly a short flight and judge it; connects before and disconnects after it.

    The vehicle needs two metres of room, and in view of the camera something with edges.
    """
    has = vehicle.equipment
    checks = [
        Check(
            "equipment",
            {Channel.IMU, Channel.CAMERA} <= has.rates.keys(),
            "measures " + ", ".join(f"{name} at {rate:g} Hz" for name, rate in has.rates.items()),
        )
    ]
    seen, short = _fly(vehicle)
    if short:
        checks.append(Check("flight", False, short))
        return checks
    checks.append(_at_rest(seen["rest"].settled()[3:]))
    if isinstance(vehicle, SimulatedVehicle):
        checks += [_tracked(axis, seen, vehicle.scene.start_yaw) for axis in range(3)]
    else:
        checks.append(
            Check("velocity", None, "the vehicle does not know where it truly is: watch the steps")
        )
    checks.append(_turned(seen["turn"].settled()[:3]))
    if has.camera is not None:
        checks.append(_panned(seen["turn"], has.camera))
    return checks


def _fly(vehicle: Vehicle) -> tuple[dict[str, Seen], str]:
    """Fly all phases; return what was seen in each, and why the flight ended early, if it did."""
    seen = {phase.name: Seen() for phase in FLIGHT}
    ends = np.cumsum([phase.seconds for phase in FLIGHT]).tolist()
    start, time, current = None, 0.0, -1
    with vehicle:
        for event in vehicle.events():
            start = event.arrival if start is None else start
            time = (event.arrival - start) / SECOND
            index = bisect.bisect_right(ends, time)
            if index != current and isinstance(vehicle, SimulatedVehicle):
                for phase in FLIGHT[max(current, 0) : index + 1]:
                    seen[phase.name].places.append(vehicle.position)
            current = index
            if index == len(FLIGHT):
                return seen, ""
            phase = FLIGHT[index]
            vehicle.command(Command(event.arrival, *phase.command))
            seen[phase.name].note(event, time - (ends[index] - phase.seconds))
    return seen, (
        f"the flight ended {time:.1f} s after its first event, {ends[-1]:.1f} s are needed: the "
        "vehicle touched something, or its `events` ended"
    )


def _at_rest(force: NDArray[np.float64]) -> Check:
    """Judge the mean specific force in hover, m/s^2, shape (3,)."""
    name, size = "specific force at rest", float(np.linalg.norm(force))
    found = f"({', '.join(f'{f:+.2f}' for f in force)}) m/s^2, it must be (0, 0, {GRAVITY:+.2f})"
    if abs(force - (0.0, 0.0, GRAVITY)).max() < 1.5:
        return Check(name, True, found)
    if not size >= 0:
        cause = "no sample came in hover"
    elif size < 0.5:
        cause = "this is acceleration: add gravity, in the body frame, to get specific force"
    elif abs(size - 1) < 0.2:
        cause = f"this is in g: multiply by {GRAVITY}"
    elif abs(size - GRAVITY) > 1.5:
        cause = "its size is not that of gravity: look at the unit, and whether the vehicle hovers"
    elif force[2] < -GRAVITY + 1.5:
        cause = (
            "z points down: turn FRD into FLU by negating y and z, or negate all if this is gravity"
        )
    else:
        cause = "the axes are exchanged or tilted: turn the sample by the mounting of the IMU"
    return Check(name, False, f"{found}; {cause}")


def _tracked(axis: int, seen: Mapping[str, Seen], yaw: float) -> Check:
    """Judge how far a step of velocity moved the vehicle."""
    name, (before, after) = DIRECTIONS[axis], seen[DIRECTIONS[axis]].places[:2]
    c, s = math.cos(yaw), math.sin(yaw)
    moved = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ (after - before)
    full, along = SPEED * STEP, float(moved[axis])
    others = np.delete(moved, axis)
    found = (
        f"moved ({', '.join(f'{m:+.2f}' for m in moved)}) m forward, left and up by {SPEED} m/s "
        f"{name} for {STEP} s"
    )
    if 0.35 * full < along < 1.5 * full and abs(others).max() < 0.35 * full:
        return Check(f"velocity {name}", True, found)
    if abs(others).max() > max(abs(along), 0.35 * full):
        cause = (
            "this is another direction: turn commands from the heading frame into the frame that "
            "the vehicle takes, by its yaw"
        )
    elif along < -0.2 * full:
        cause = (
            "this is the other way: negate it (left and up are positive, FRD has right and down)"
        )
    elif along < 0.35 * full:
        cause = (
            "this is too little: look at the unit, at a limit of speed, and that commands arrive"
        )
    elif along > 1.5 * full:
        cause = "this is too far: look at the unit, and that a hover stops the vehicle"
    else:
        cause = (
            "it drifts aside: if it sinks or slides while it is tilted, turn commands into the "
            "frame of the tilted body, not only by the yaw"
        )
    return Check(f"velocity {name}", False, f"{found}; {cause}")


def _turned(rates: NDArray[np.float64]) -> Check:
    """Judge the mean angular velocity while a turn to the left is commanded, rad/s, shape (3,)."""
    name, turn = "gyro in a turn to the left", float(rates[2])
    found = f"({', '.join(f'{r:+.2f}' for r in rates)}) rad/s, it must be (0, 0, {YAW_RATE:+.2f})"
    if abs(rates - (0.0, 0.0, YAW_RATE)).max() < 0.35 * YAW_RATE:
        return Check(name, True, found)
    if not np.isfinite(rates).all():
        cause = "no sample came in the turn"
    elif abs(turn + YAW_RATE) < 0.35 * YAW_RATE:
        cause = (
            "the gyro's z axis points down (negate y and z), or the vehicle turns to the right "
            "(negate the yaw rate): the check of the camera tells which"
        )
    elif abs(turn - math.degrees(YAW_RATE)) < 0.35 * math.degrees(YAW_RATE):
        cause = "this is in degrees: convert it to rad/s"
    elif abs(rates[:2]).max() > abs(turn):
        cause = "the axes are exchanged: turn the sample into the body frame FLU"
    elif abs(turn) < 0.65 * YAW_RATE:
        cause = "it turns too slowly: is a yaw rate expected in degrees a second, or a yaw angle?"
    else:
        cause = "it turns at another rate: look at the unit of the yaw rate and of the gyro"
    return Check(name, False, f"{found}; {cause}")


def _panned(turn: Seen, camera: PolicyCamera) -> Check:
    """Judge by how many pixels the image moves to the right while the vehicle turns left."""
    name = "camera in a turn to the left"
    frames = [(time, image) for time, image in turn.frames if time > TURN / 3]
    shapes = {image.shape[:2] for _, image in frames}
    if not shapes:
        return Check(name, False, "no frame came in the turn: does the camera run?")
    if shapes != {(camera.height, camera.width)}:
        return Check(name, False, f"frames have the shapes {shapes}, the equipment says {camera}")
    focal = camera.width / 2 / math.tan(camera.horizontal_fov / 2)
    pairs = [
        (first, second)
        for time, first in frames
        for later, second in frames
        if abs(later - time - BETWEEN) < BETWEEN / 10
    ]
    # The middle of an image moves by `middle` pixels, its borders farther.
    middle = focal * math.tan(YAW_RATE * BETWEEN)
    farthest = round(3 * middle)
    errors = np.mean([_mismatch(*pair, farthest) for pair in pairs], axis=0)
    best = int(errors.argmin()) - farthest
    found = (
        f"the image moves {best} pixels to the right in {BETWEEN} s, about {middle:.0f} expected"
    )
    if errors.min() > 0.8 * np.median(errors):
        return Check(name, None, "the image has too few edges to see it move: fly elsewhere")
    if 0.5 * middle < best < 2.2 * middle:
        return Check(name, True, found)
    if -2.2 * middle < best < -0.5 * middle:
        cause = (
            "it is mirrored or upside down: flip the image; or the vehicle turns right, see gyro"
        )
    else:
        cause = "look at the field of view, and whether stamps and frames belong together"
    return Check(name, False, f"{found}; {cause}")


def _mismatch(
    first: NDArray[np.uint8], second: NDArray[np.uint8], farthest: int
) -> NDArray[np.float64]:
    """Mean difference of two images for each shift to the right from -`farthest`, (2 F + 1,)."""
    a, b = (cv2.GaussianBlur(image, (0, 0), 1.0).astype(float) for image in (first, second))
    width = a.shape[1]
    errors = []
    for shift in range(-farthest, farthest + 1):
        left, right = max(0, -shift), width - max(0, shift)
        errors.append(np.abs(a[:, left:right] - b[:, left + shift : right + shift]).mean())
    return np.array(errors)
