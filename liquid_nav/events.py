"""Measurements as events: immutable records with the time they were taken and the time they came.

Times are integer nanoseconds on one clock. Vectors are in the body frame FLU (x forward, y left,
z up; REP-103) unless a field says otherwise; the world frame is ENU.
"""

import ctypes
import functools
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liquid_nav.errors import EventError
from liquid_nav.values import INT64, SECOND, is_number, nanoseconds, whole_nanoseconds

__all__ = [
    "NOT_FINITE",
    "SECOND",
    "TAKEN_IN",
    "CameraFrame",
    "Channel",
    "Event",
    "Goal",
    "ImuSample",
    "Odometry",
    "OperatorStop",
    "RangeSample",
    "bits",
    "measured",
    "nanoseconds",
]

NOT_FINITE = "not finite"
"""What `Event.defect` returns for a number that is infinite or NaN."""


class Channel(str):
    """Name of a kind of event, such as ``Channel.CAMERA`` or a user's own ``Channel("sonar")``.

    A channel is a string: it compares and hashes like its name. Each name has one object.

    Args:
        name: letters, digits and underscores, not beginning with a digit.

    Raises:
        EventError: on a name that is not an identifier.

    """

    __slots__ = ()

    CAMERA: ClassVar["Channel"]
    IMU: ClassVar["Channel"]
    GOAL: ClassVar["Channel"]
    ODOMETRY: ClassVar["Channel"]
    OPERATOR: ClassVar["Channel"]
    DVS: ClassVar["Channel"]
    RANGE: ClassVar["Channel"]

    def __new__(cls, name: str) -> "Channel":
        """Return the channel of this name, which is made on first use."""
        known = _CHANNELS.get(name) if isinstance(name, str) else None
        if known is None:
            if not (isinstance(name, str) and name.isidentifier()):
                raise EventError(f"the name of a channel must be an identifier, got {name!r}")
            known = _CHANNELS.setdefault(name, super().__new__(cls, name))
        return known

    @property
    def value(self) -> str:
        """The name, as a plain string."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return f"Channel({self.value!r})"

    def __reduce__(self) -> tuple[type["Channel"], tuple[str]]:
        return Channel, (self.value,)


_CHANNELS: dict[str, Channel] = {}

Channel.CAMERA = Channel("camera")
Channel.IMU = Channel("imu")
Channel.GOAL = Channel("goal")
Channel.ODOMETRY = Channel("odometry")
Channel.OPERATOR = Channel("operator")
Channel.DVS = Channel("dvs")
Channel.RANGE = Channel("range")

TAKEN_IN = (Channel.CAMERA, Channel.IMU, Channel.GOAL, Channel.ODOMETRY, Channel.OPERATOR)
"""Channels that every controller accepts, in addition to those that its policy reads."""


def _vector(name: str, value: ArrayLike, size: int) -> NDArray[np.float64]:
    try:
        given = np.asarray(value)
        # Text and booleans would become numbers, and complex numbers would lose a part.
        vector = given.astype(np.float64) if given.dtype.kind in "fiu" else None
    except (TypeError, ValueError, OverflowError) as error:
        raise EventError(f"{name} must be {size} numbers: {error}") from error
    if given.shape != (size,):
        raise EventError(f"{name} must have shape ({size},), got {given.shape}")
    if vector is None:
        raise EventError(f"{name} must be {size} numbers, got {value!r:.120}")
    vector.setflags(write=False)
    return vector


@dataclass(frozen=True, eq=False)
class Event:
    """A record of one measurement.

    A subclass is a frozen dataclass that declares its `channel` and adds what was measured.

    Attributes:
        stamp: when it was measured, int nanoseconds.
        arrival: when the controller learned of it, int nanoseconds, never before `stamp`.

    NumPy integers are accepted and become Python integers, which do not overflow.

    Raises:
        EventError: on a time that is not a 64-bit int, an arrival before the stamp, or a field
            of the wrong shape or type. Numbers that are not finite are accepted here: a sensor may
            produce them in flight, and the controller rejects and counts them.

    """

    channel: ClassVar[Channel]

    stamp: int
    arrival: int

    def __post_init__(self) -> None:
        # The common case comes first, because this runs for every event.
        if type(self.stamp) is type(self.arrival) is int and (
            INT64.start <= self.stamp <= self.arrival < INT64.stop
        ):
            return
        for name in ("stamp", "arrival"):
            time = whole_nanoseconds(f"{type(self).__name__}.{name}", getattr(self, name))
            object.__setattr__(self, name, time)
        if self.arrival < self.stamp:
            raise EventError(
                f"{type(self).__name__} arrives {self.stamp - self.arrival} ns before its stamp; "
                "bring both times onto one clock first"
            )

    @property
    def latency(self) -> int:
        """Nanoseconds from measurement to arrival."""
        return self.arrival - self.stamp

    def defect(self) -> str:
        """Return why no controller can use this event, or an empty string if one can.

        Here the reason is a number that is not finite. A subclass overrides this method if its
        values can be wrong in other ways.
        """
        return "" if all(map(_finite, measured(self))) else NOT_FINITE


def measured(event: Event) -> tuple[Any, ...]:
    """Return what an event measured: the values of its fields in order, without the times."""
    values: tuple[Any, ...] = _reader(type(event))(event)  # type: ignore[arg-type]
    return values


def bits(event: Event) -> bytes:
    """Copy what an event measured into bytes; they are equal when all values are, bit for bit."""
    return b"".join(
        [
            value.tobytes() if isinstance(value, np.ndarray) else _packed(value)
            for value in measured(event)
        ]
    )


def _finite(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind != "f" or all(map(math.isfinite, value.ravel().tolist()))
    return not isinstance(value, float) or math.isfinite(value)


def _packed(value: object) -> bytes:
    return struct.pack("<d", value) if isinstance(value, float) else repr(value).encode()


@functools.cache
def _reader(kind: type[Event]) -> Callable[[Event], Any]:
    names = [f.name for f in fields(kind) if f.name not in ("stamp", "arrival")]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda event: tuple(getattr(event, name) for name in names)


@dataclass(frozen=True, eq=False)
class CameraFrame(Event):
    """An image.

    Attributes:
        image: uint8 RGB, shape (H, W, 3); a read-only view of the array that was given, not a copy.

    """

    channel: ClassVar[Channel] = Channel.CAMERA

    image: NDArray[np.uint8]

    def __post_init__(self) -> None:
        super().__post_init__()
        image = self.image
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            kind = getattr(image, "dtype", type(image).__name__)
            raise EventError(f"CameraFrame.image must be a uint8 array, got {kind}")
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise EventError(f"CameraFrame.image must have shape (H, W, 3), got {image.shape}")
        view = image.view()
        view.flags.writeable = False
        object.__setattr__(self, "image", view)

    def defect(self) -> str:
        """Return an empty string: every value of a uint8 pixel is valid."""
        return ""


@dataclass(frozen=True, eq=False)
class ImuSample(Event):
    """An inertial measurement (REP-145).

    Attributes:
        angular_velocity: rad/s, body FLU, shape (3,).
        specific_force: m/s^2, body FLU, shape (3,); +9.81 on the up axis at rest.

    """

    channel: ClassVar[Channel] = Channel.IMU

    angular_velocity: NDArray[np.float64]
    specific_force: NDArray[np.float64]

    def __post_init__(self) -> None:
        super().__post_init__()
        # Written out, because a loop over the names is slower and samples are frequent.
        rates = _vector("ImuSample.angular_velocity", self.angular_velocity, 3)
        force = _vector("ImuSample.specific_force", self.specific_force, 3)
        object.__setattr__(self, "angular_velocity", rates)
        object.__setattr__(self, "specific_force", force)

    def defect(self) -> str:
        """See `Event.defect`. Written out for speed, as in `__post_init__`."""
        numbers = self.angular_velocity.tolist() + self.specific_force.tolist()
        return "" if all(map(math.isfinite, numbers)) else NOT_FINITE


@dataclass(frozen=True, eq=False)
class Goal(Event):
    """Where to go.

    Attributes:
        position: metres, world ENU, shape (3,).

    """

    channel: ClassVar[Channel] = Channel.GOAL

    position: NDArray[np.float64]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "position", _vector("Goal.position", self.position, 3))


@dataclass(frozen=True, eq=False)
class Odometry(Event):
    """An estimate of pose and motion, as in ``nav_msgs/Odometry``.

    Attributes:
        position: metres, world ENU, shape (3,).
        orientation: unit quaternion x, y, z, w that rotates body FLU into world ENU, shape (4,).
        linear_velocity: m/s, body FLU, shape (3,).
        angular_velocity: rad/s, body FLU, shape (3,).

    """

    channel: ClassVar[Channel] = Channel.ODOMETRY

    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    linear_velocity: NDArray[np.float64]
    angular_velocity: NDArray[np.float64]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, size in (
            ("position", 3),
            ("orientation", 4),
            ("linear_velocity", 3),
            ("angular_velocity", 3),
        ):
            object.__setattr__(self, name, _vector(f"Odometry.{name}", getattr(self, name), size))


@dataclass(frozen=True, eq=False)
class RangeSample(Event):
    """A distance along the beam of a range finder, as in ``sensor_msgs/Range``.

    Attributes:
        distance: metres, rounded to single precision as in the message, so that a recording gives
            back the same number. By REP-117 it is infinity where nothing is in range, minus
            infinity where something is too close to measure, and not a number where the sensor
            failed.

    """

    channel: ClassVar[Channel] = Channel.RANGE

    distance: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.distance):
            raise EventError(f"RangeSample.distance must be a number, got {self.distance!r}")
        object.__setattr__(self, "distance", ctypes.c_float(float(self.distance)).value)

    def defect(self) -> str:
        """See `Event.defect`; the infinities of REP-117 are measurements."""
        return NOT_FINITE if math.isnan(self.distance) else ""


@dataclass(frozen=True, eq=False)
class OperatorStop(Event):
    """The operator engages or releases the stop.

    It is an event like any other, so that it is recorded and replayed in its place.

    Attributes:
        engaged: True stops the vehicle at once, False gives control back to the policy.

    """

    channel: ClassVar[Channel] = Channel.OPERATOR

    engaged: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.engaged, (bool, np.bool_)):
            # "off" and 0.0 look like an answer, and an answer must not be guessed here.
            raise EventError(f"OperatorStop.engaged must be True or False, got {self.engaged!r}")
        object.__setattr__(self, "engaged", bool(self.engaged))
