"""What must hold before a vehicle is armed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from liquid_nav.command import Command, Mode
from liquid_nav.controller import Health
from liquid_nav.events import SECOND, CameraFrame, Channel, Event, ImuSample
from liquid_nav.mavlink.state import AutopilotState
from liquid_nav.onboard import PolicyCamera

GRAVITY = 9.80665
LARGEST_ERROR = 0.8
"""m/s^2 between the length of the specific force at rest and g."""

LARGEST_TILT = math.radians(20)
LARGEST_RATE = math.radians(10)
"""A vehicle that stands on the ground is about level, and hardly turns, rad and rad/s."""

SLOWEST = {Channel.IMU: 30.0, Channel.CAMERA: 5.0}
"""Measurements per second below which a channel cannot be flown with; others need one at all."""

DARKEST = 2.0
"""Standard deviation of a frame's pixels below which it shows nothing."""


class Check(NamedTuple):
    """One check: what it is about, whether it passed (None: it cannot be told), what was found."""

    name: str
    passed: bool | None
    found: str


def autopilot_checks(state: AutopilotState, battery: float) -> list[Check]:
    """Check what the autopilot says about itself.

    Args:
        state: its word.
        battery: fraction of 1 that must be left.

    """
    texts = f": {state.texts[-1]}" if state.texts else ""
    ready = {
        None: "it does not say whether it could be armed",
        True: "it says that it could be armed",
        False: f"it says that it cannot be armed{texts}",
    }
    lacks = state.estimator_lacks()
    return [
        Check("at rest", *_at_rest(state)),
        Check("autopilot", state.ready, ready[state.ready]),
        Check("estimator", not lacks, lacks or "attitude and velocity are known"),
        Check("battery", *_battery(state, battery)),
    ]


def _at_rest(state: AutopilotState) -> tuple[bool | None, str]:
    if state.armed:
        return False, f"the vehicle is armed already, in {state.mode}: disarm it first"
    if state.on_ground is None:
        return None, "disarmed; the autopilot does not say whether it is on the ground"
    return state.on_ground, "disarmed, on the ground" if state.on_ground else "it is in the air"


def _battery(state: AutopilotState, least: float) -> tuple[bool | None, str]:
    voltage = "" if state.voltage is None else f" ({state.voltage:.1f} V)"
    if state.battery is None:
        return None, f"the autopilot does not measure what is left{voltage}"
    return state.battery > least, f"{state.battery:.0%}{voltage}; more than {least:.0%} is needed"


def sensor_checks(
    events: Sequence[Event], seconds: float, needed: frozenset[Channel], camera: PolicyCamera | None
) -> list[Check]:
    """Check what was measured for some seconds while the vehicle stood on the ground.

    Args:
        events: everything that arrived meanwhile.
        seconds: how long that was.
        needed: channels that the policy needs.
        camera: the policy's camera; None if it has none.

    """
    by_channel: dict[Channel, list[Event]] = {}
    for event in events:
        by_channel.setdefault(event.channel, []).append(event)
    checks = []
    for channel in sorted(needed | {Channel.IMU}):
        found = by_channel.get(channel, [])
        checks.append(_rate(channel, found, seconds))
        if channel is Channel.IMU and found:
            checks.append(_imu([event for event in found if isinstance(event, ImuSample)]))
        elif channel is Channel.CAMERA and found:
            frames = [event for event in found if isinstance(event, CameraFrame)]
            checks.append(_camera(frames, camera))
    return checks


def _rate(channel: Channel, events: Sequence[Event], seconds: float) -> Check:
    rate, least = len(events) / seconds, SLOWEST.get(channel, 0.0)
    if not events:
        return Check(channel.value, False, "it is silent")
    oldest = max(event.latency for event in events) / SECOND
    found = f"{rate:.0f} a second, at most {oldest:.2f} s old"
    if rate < least:
        return Check(channel.value, False, f"{found}; {least:g} a second are needed")
    return Check(channel.value, True, found)


def _imu(samples: Sequence[ImuSample]) -> Check:
    force = np.mean([sample.specific_force for sample in samples], axis=0)
    rate = np.mean([sample.angular_velocity for sample in samples], axis=0)
    size, turning = float(np.linalg.norm(force)), float(np.linalg.norm(rate))
    if not abs(size - GRAVITY) <= LARGEST_ERROR:
        return Check("imu at rest", False, f"it measures {size:.2f} m/s^2 in place of {GRAVITY}")
    tilt = math.acos(min(max(float(force[2]) / size, -1.0), 1.0))
    if tilt > LARGEST_TILT:
        found = f"it stands tilted by {math.degrees(tilt):.0f} degrees, or its axes are exchanged"
        return Check("imu at rest", False, found)
    if not turning <= LARGEST_RATE:
        found = f"it turns at {math.degrees(turning):.0f} degrees/s while it stands"
        return Check("imu at rest", False, found)
    return Check("imu at rest", True, f"{size:.2f} m/s^2 upwards, {math.degrees(tilt):.0f} degrees")


def _camera(frames: Sequence[CameraFrame], camera: PolicyCamera | None) -> Check:
    height, width = frames[-1].image.shape[:2]
    size = f"{width}x{height}"
    if camera is not None and (width, height) != (camera.width, camera.height):
        found = f"frames are {size}, the policy's camera is {camera.width}x{camera.height}"
        return Check("camera image", False, found)
    contrast = float(np.std(frames[-1].image))
    if contrast < DARKEST:
        return Check("camera image", False, f"{size} pixels all alike: is the lens covered?")
    if len(frames) > 1 and all(np.array_equal(f.image, frames[0].image) for f in frames[1:]):
        return Check("camera image", False, "every frame is the same: the camera is frozen")
    return Check("camera image", True, f"{size} pixels, contrast {contrast:.0f}")


def controller_check(command: Command, health: Health) -> Check:
    """Check that the controller would fly: its command now, and what it says about itself."""
    if health.unfit:
        return Check("controller", False, health.unfit)
    if command.mode is not Mode.NOMINAL:
        return Check("controller", False, f"it would {command.mode.value}: {command.reason}")
    return Check("controller", True, "its commands are the policy's")
