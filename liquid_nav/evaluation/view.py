"""Pictures of a flight: the onboard image beside a view from outside, and figures below.

Where the vehicle has no camera, the view from outside takes the whole width.
"""

import math

import cv2
import numpy as np

from liquid_nav.captions import BACKGROUND, FAINT, TEXT, Colour, Image, mode_caption, write
from liquid_nav.command import Command
from liquid_nav.events import SECOND, Channel
from liquid_nav.rotations import yaw_of
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.sensors.camera import Camera, look_at
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.follow import FollowAttempt
from liquid_nav_sim.tasks.gates import GatesAttempt
from liquid_nav_sim.world import Outcome, World

PANEL_WIDTH, PANEL_HEIGHT = 448, 336
"""Pixels of each of the two views."""

CAPTION_HEIGHT = 64
"""Pixels of the strip with figures below the two views."""

OUTCOME_COLOURS = {
    Outcome.SUCCESS: (0x2E, 0xA0, 0x43),
    Outcome.COLLISION: (0xD7, 0x3A, 0x49),
    Outcome.TIMEOUT: (0xD2, 0x8A, 0x1E),
}
"""RGB of each outcome, in videos and plots."""

_BEHIND, _ABOVE, _AHEAD = 1.4, 0.6, 1.5
"""Metres: the outside camera is this far behind and above the vehicle, and looks this far ahead."""

_LOWEST = 0.3
"""Lowest height of the outside camera, metres."""

_TURN_TIME = 0.5
"""Time constant with which the outside camera turns after the vehicle, seconds."""

_FONT_SIZE, _PLATE = 0.52, 7
"""Scale of OpenCV's font, and pixels of dark margin around text on the views."""


class FlightView:
    """Composes pictures of the flight that a world is in.

    Args:
        world: the simulator; it may be reset between two pictures.

    Attributes:
        has_onboard: whether the vehicle has a camera, whose image is shown.

    """

    width = 2 * PANEL_WIDTH
    height = PANEL_HEIGHT + CAPTION_HEIGHT

    def __init__(self, world: World) -> None:
        self._world = world
        sensors = world.config.sensors
        self.has_onboard = any(sensor.model.channel == Channel.CAMERA for sensor in sensors)
        width, degrees = (PANEL_WIDTH, 75) if self.has_onboard else (self.width, 100)
        self._model = CameraModel(width, PANEL_HEIGHT, horizontal_fov=math.radians(degrees))
        self._scene: Scene | None = None

    def compose(self, title: str, onboard: Image | None, command: Command) -> Image:
        """Draw the world as it is now.

        Args:
            title: name of the flight.
            onboard: the newest frame that the pilot got, uint8 RGB (H, W, 3); None only where the
                vehicle has no camera.
            command: the current command.

        Returns:
            uint8 RGB, shape (`height`, `width`, 3).

        """
        canvas = np.full((self.height, self.width, 3), BACKGROUND, dtype=np.uint8)
        begin = self.width - self._model.width
        canvas[:PANEL_HEIGHT, begin:] = self._outside()
        if onboard is not None:
            canvas[:PANEL_HEIGHT, :PANEL_WIDTH] = cv2.resize(
                onboard, (PANEL_WIDTH, PANEL_HEIGHT), interpolation=cv2.INTER_NEAREST
            )
            name = f"onboard {onboard.shape[1]}x{onboard.shape[0]}"
            write(canvas, name, (10, 22), TEXT, _FONT_SIZE, _PLATE)
        write(canvas, "outside", (begin + 10, 22), TEXT, _FONT_SIZE, _PLATE)
        if onboard is not None:
            canvas[:PANEL_HEIGHT, PANEL_WIDTH - 1 : PANEL_WIDTH + 1] = BACKGROUND
        self._caption(canvas, title, command)
        return canvas

    def _outside(self) -> Image:
        """Render the vehicle from behind and above, by a camera that follows its turns smoothly."""
        world = self._world
        state = world.state
        yaw = yaw_of(state.orientation)
        if self._scene is not world.scene:
            self._scene = world.scene
            self._camera = Camera(world.client, self._model, world.scene)
            self._yaw, self._time = yaw, world.time
        follow = 1 - math.exp(-(world.time - self._time) / SECOND / _TURN_TIME)
        behind = (yaw - self._yaw + math.pi) % (2 * math.pi) - math.pi
        self._yaw, self._time = self._yaw + follow * behind, world.time
        forward = np.array([math.cos(self._yaw), math.sin(self._yaw), 0.0])
        eye = state.position - _BEHIND * forward + [0.0, 0.0, _ABOVE]
        eye[2] = max(eye[2], _LOWEST)
        return self._camera.render(eye, look_at(eye, state.position + _AHEAD * forward)).image

    def _caption(self, canvas: Image, title: str, command: Command) -> None:
        world = self._world
        speed = float(np.linalg.norm(world.state.linear_velocity))
        distance = float(np.linalg.norm(world.attempt.goal - world.state.position))
        vx, vy, vz, yaw_rate = command.vector
        velocities = f"vx {vx:+.2f}  vy {vy:+.2f}  vz {vz:+.2f} m/s  yaw {yaw_rate:+.2f} rad/s"
        state, colour = mode_caption(command)
        if world.outcome is not None:
            state, colour = world.outcome.value, _bright(world.outcome)
        first, second = PANEL_HEIGHT + 25, PANEL_HEIGHT + 51
        for text, corner, text_colour in (
            (title, (10, first), TEXT),
            (f"t {world.time / SECOND:5.2f} s", (10, second), FAINT),
            (f"speed {speed:4.2f} m/s", (105, second), FAINT),
            (f"{_goal(world)} {distance:5.2f} m", (260, second), FAINT),
            (velocities, (PANEL_WIDTH + 10, first), TEXT),
            (state, (PANEL_WIDTH + 10, second), colour),
        ):
            write(canvas, text, corner, text_colour, _FONT_SIZE)


def _goal(world: World) -> str:
    """Name what the task flies to next."""
    attempt = world.attempt
    if isinstance(attempt, GatesAttempt):
        gates = len(world.scene.gates)
        return f"gate {min(attempt.passed + 1, gates)} of {gates}"
    if isinstance(attempt, FollowAttempt):
        return f"held {attempt.held:4.1f} s, target"
    return "far side" if world.scene.target is None else "target"


def _bright(outcome: Outcome) -> Colour:
    red, green, blue = ((255 + 2 * channel) // 3 for channel in OUTCOME_COLOURS[outcome])
    return red, green, blue
