"""The base of classical pilots: attitude from the IMU, and the rays of the camera's pixels."""

import math
from abc import ABC, abstractmethod
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav.onboard import Memory, Policy, RawCommand
from liquid_nav.safety.freshness import Staleness

LEVELLING_TIME = 3.0
"""Time constant with which the accelerometer corrects the attitude of the gyroscope, seconds.
Between changes of speed, which are shorter, the mean specific force points up."""

BIAS_TIME, LARGEST_BIAS, HARDLY_TURNING = 5.0, 0.05, 0.3
"""Time constant, seconds, and bound, rad/s, of the gyroscope's bias about the vertical, which is
learned while the yaw rate asked for is below the third. An autopilot knows the bias of its own
gyroscope, so that on average the vehicle turns as it was asked to."""

LONGEST_STEP = 0.1
"""Longest gap between two samples over which the angular velocity is integrated, seconds."""

STEEPEST = 1.2
"""Largest pitch, radians; at a right angle a heading means nothing."""

WIDEST = 160
"""Pixels: wider frames are reduced before anything else."""

EMPTY = Memory(np.zeros(0, np.float32), np.zeros(0, np.float32))


class Rule(Policy, ABC):
    """A rule that a controller flies in the place of a policy network.

    A subclass gives `forget`, `see` and `command`. What it remembers are its own attributes; the
    `Memory` of the controller stays empty, and a new one makes the rule forget the flight.

    Args:
        horizontal_fov: angle between the left and the right edge of the image, radians.

    Attributes:
        needs_colour: whether frames without any colour are refused.
        roll, pitch: attitude of the body, radians; a positive pitch is nose down.
        heading: angle turned to the left since the start of the flight, radians.

    """

    channels = needed = frozenset({Channel.CAMERA, Channel.IMU})
    staleness = MappingProxyType(
        {Channel.CAMERA: Staleness(0.3, 2.0), Channel.IMU: Staleness(0.1, 2.0)}
    )
    needs_colour = True

    def __init__(self, horizontal_fov: float) -> None:
        self._half_width = math.tan(horizontal_fov / 2)
        self.initial()

    @abstractmethod
    def forget(self) -> None:
        """Forget the last flight."""

    @abstractmethod
    def see(self, image: NDArray[np.uint8], rays: NDArray[np.float64], elapsed: float) -> None:
        """Take in a frame.

        Args:
            image: uint8 RGB, (H, W, 3).
            rays: direction of each pixel when the image was taken, in the frame of the present
                heading: x forward, y left, z up; not of unit length, (H, W, 3).
            elapsed: seconds since the frame before, 0 for the first.

        """

    @abstractmethod
    def command(self) -> RawCommand:
        """Give the command for now: (vx, vy, vz, yaw_rate), m/s and rad/s, heading frame."""

    def initial(self) -> Memory:
        """Begin a flight, see `Policy.initial`."""
        self.roll = self.pitch = self.heading = 0.0
        self._rates = (0.0, 0.0, 0.0)
        self._asked = self._bias = 0.0
        self._levelled = False
        self._stamps: dict[Channel, int] = {}
        self.forget()
        return EMPTY

    def objection(self, event: Event) -> str:
        """Return why a frame cannot be used, see `Policy.objection`."""
        if self.needs_colour and isinstance(event, CameraFrame):
            red, green, blue = np.moveaxis(event.image, 2, 0)
            if np.array_equal(red, green) and np.array_equal(green, blue) and np.ptp(red):
                return "the frame has no colour, and this pilot steers by colour"
        return ""

    def on_event(
        self, memory: Memory, event: Event, dt: int, age: int
    ) -> tuple[Memory, RawCommand]:
        """Take in an event, see `Policy.on_event`; one that is older than the last is left out."""
        last = self._stamps.get(event.channel, event.stamp)
        if event.stamp >= last:
            self._stamps[event.channel] = event.stamp
            elapsed = (event.stamp - last) / SECOND
            if isinstance(event, ImuSample):
                self._turn(event, min(elapsed, LONGEST_STEP))
            elif isinstance(event, CameraFrame):
                image = _reduced(event.image)
                height, width, _ = image.shape
                rays = self._rays(height, width, age / SECOND)
                self.see(image, rays, elapsed)
        command = self.command()
        self._asked = command[3]
        return memory, command

    def query(self, memory: Memory, dt: int) -> RawCommand:
        """Give the command, which holds until the next event."""
        return self.command()

    def _rays(self, height: int, width: int, age: float) -> NDArray[np.float64]:
        """Directions of the pixels of an image that is `age` seconds old, see `Rule.see`."""
        pixel = 2 * self._half_width / width
        left = pixel * ((width - 1) / 2 - np.arange(width))
        up = pixel * ((height - 1) / 2 - np.arange(height))[:, None]
        roll, pitch, turned = (
            angle - rate * age
            for angle, rate in zip((self.roll, self.pitch, 0.0), self._rates, strict=True)
        )
        c, s = math.cos(roll), math.sin(roll)
        y, z = c * left - s * up, s * left + c * up
        c, s = math.cos(pitch), math.sin(pitch)
        x, z = c + s * z, c * z - s
        c, s = math.cos(turned), math.sin(turned)
        return np.stack((c * x - s * y, s * x + c * y, z), axis=2)

    def _turn(self, sample: ImuSample, dt: float) -> None:
        """Integrate the angular velocity, and level the attitude slowly by the specific force."""
        p, q, r = sample.angular_velocity.tolist()
        fx, fy, fz = sample.specific_force.tolist()
        level_roll, level_pitch = math.atan2(fy, fz), math.atan2(-fx, math.hypot(fy, fz))
        if not self._levelled:
            self.roll, self.pitch, self._levelled = level_roll, level_pitch, True
        c, s = math.cos(self.roll), math.sin(self.roll)
        turn = q * s + r * c
        yaw_rate = turn / math.cos(self.pitch)
        if abs(self._asked) < HARDLY_TURNING:
            self._bias += dt / BIAS_TIME * (yaw_rate - self._asked - self._bias)
            self._bias = min(max(self._bias, -LARGEST_BIAS), LARGEST_BIAS)
        self._rates = p + turn * math.tan(self.pitch), q * c - r * s, yaw_rate - self._bias
        share = dt / LEVELLING_TIME
        self.roll += self._rates[0] * dt + share * math.remainder(level_roll - self.roll, math.tau)
        self.pitch += self._rates[1] * dt + share * (level_pitch - self.pitch)
        self.pitch = min(max(self.pitch, -STEEPEST), STEEPEST)
        self.heading += self._rates[2] * dt


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if width <= WIDEST:
        return image
    size = (WIDEST, max(round(height * WIDEST / width), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
