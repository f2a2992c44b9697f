"""A flight to look at: what the drone sees beside what a bystander sees, and figures below."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command, Mode
from liquid_nav.events import SECOND, yaw_of
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.sensors.camera import Camera, look_at
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.follow import FollowAttempt
from liquid_nav_sim.tasks.gates import GatesAttempt
from liquid_nav_sim.world import Outcome, World

PANEL_WIDTH, PANEL_HEIGHT = 448, 336
"""Pixels of each of the two views."""

CAPTION_HEIGHT = 64
"""Pixels of the strip with figures below them."""

OUTCOME_COLOURS = {
    Outcome.SUCCESS: (0x2E, 0xA0, 0x43),
    Outcome.COLLISION: (0xD7, 0x3A, 0x49),
    Outcome.TIMEOUT: (0xD2, 0x8A, 0x1E),
}
"""RGB of each outcome, in videos and plots."""

_BEHIND, _ABOVE, _AHEAD = 1.4, 0.6, 1.5
_TURN_TIME = 0.5
_BACKGROUND, _TEXT, _FAINT, _ALERT = (22, 27, 34), (240, 246, 252), (139, 148, 158), (255, 166, 87)

Image = NDArray[np.uint8]


class FlightView:
    """Composes pictures of the flight that a world is in.

    Args:
        world: the world to look at; it may be reset between two pictures.
    """

    width = 2 * PANEL_WIDTH
    height = PANEL_HEIGHT + CAPTION_HEIGHT

    def __init__(self, world: World) -> None:
        self._world = world
        self._model = CameraModel(PANEL_WIDTH, PANEL_HEIGHT, horizontal_fov=math.radians(75))
        self._scene: Scene | None = None

    def compose(self, title: str, onboard: Image, command: Command) -> Image:
        """Draw the present instant.

        Args:
            title: what flight this is.
            onboard: the newest frame that the policy got, uint8 RGB (H, W, 3).
            command: the command in force.

        Returns:
            uint8 RGB, shape (`height`, `width`, 3).
        """
        canvas = np.full((self.height, self.width, 3), _BACKGROUND, dtype=np.uint8)
        canvas[:PANEL_HEIGHT, :PANEL_WIDTH] = cv2.resize(
            onboard, (PANEL_WIDTH, PANEL_HEIGHT), interpolation=cv2.INTER_NEAREST
        )
        canvas[:PANEL_HEIGHT, PANEL_WIDTH:] = self._outside()
        seen = f"onboard {onboard.shape[1]}x{onboard.shape[0]}"
        _write(canvas, seen, (10, 22), _TEXT, shade=True)
        _write(canvas, "outside", (PANEL_WIDTH + 10, 22), _TEXT, shade=True)
        canvas[:PANEL_HEIGHT, PANEL_WIDTH - 1 : PANEL_WIDTH + 1] = _BACKGROUND
        self._caption(canvas, title, command)
        return canvas

    def _outside(self) -> Image:
        """See the vehicle from behind and above, through a camera that turns after it smoothly."""
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
        # Low over the ground the bystander stays above it.
        eye[2] = max(eye[2], 0.3)
        return self._camera.render(eye, look_at(eye, state.position + _AHEAD * forward)).image

    def _caption(self, canvas: Image, title: str, command: Command) -> None:
        world = self._world
        first, second = PANEL_HEIGHT + 25, PANEL_HEIGHT + 51
        _write(canvas, title, (10, first), _TEXT)
        _write(canvas, f"t {world.time / SECOND:5.2f} s", (10, second), _FAINT)
        speed = float(np.linalg.norm(world.state.linear_velocity))
        _write(canvas, f"speed {speed:4.2f} m/s", (105, second), _FAINT)
        away = float(np.linalg.norm(world.attempt.goal - world.state.position))
        _write(canvas, f"{_goal(world)} {away:5.2f} m", (260, second), _FAINT)
        vx, vy, vz, yaw_rate = command.vector
        text = f"vx {vx:+.2f}  vy {vy:+.2f}  vz {vz:+.2f} m/s  yaw {yaw_rate:+.2f} rad/s"
        _write(canvas, text, (PANEL_WIDTH + 10, first), _TEXT)
        if world.outcome is not None:
            _write(canvas, world.outcome.value, (PANEL_WIDTH + 10, second), _bright(world.outcome))
            return
        reason = f": {command.reason}" if command.reason else ""
        colour = _FAINT if command.mode is Mode.NOMINAL else _ALERT
        _write(canvas, f"{command.mode.value}{reason}", (PANEL_WIDTH + 10, second), colour)


def _goal(world: World) -> str:
    """What the task leads to next."""
    attempt = world.attempt
    if isinstance(attempt, GatesAttempt):
        gates = len(world.scene.gates)
        return f"gate {min(attempt.passed + 1, gates)} of {gates}"
    if isinstance(attempt, FollowAttempt):
        return f"held {attempt.held:4.1f} s, target"
    return "far side" if world.scene.target is None else "target"


def _bright(outcome: Outcome) -> tuple[int, int, int]:
    red, green, blue = ((255 + 2 * channel) // 3 for channel in OUTCOME_COLOURS[outcome])
    return red, green, blue


def _write(
    canvas: Image,
    text: str,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
    shade: bool = False,
) -> None:
    """Write text with its lower left corner at (x, y), on a dark plate where `shade` asks."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.52
    if shade:
        (width, height), _ = cv2.getTextSize(text, font, size, 1)
        x, y = corner
        plate = canvas[y - height - 7 : y + 7, x - 7 : x + width + 7]
        plate[:] = (plate * 0.35).astype(np.uint8)
    cv2.putText(canvas, text, corner, font, size, colour, 1, cv2.LINE_AA)
