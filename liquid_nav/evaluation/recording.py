"""Records a simulated flight whole: what the controller took in and gave out, and what was true.

One MCAP file of standard ROS 2 messages, for Foxglove, Rerun, PlotJuggler and ``ros2 bag play``;
`liquid_nav.replay` reads the measurements out of it and leaves the truth aside.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from liquid_nav.command import Command
from liquid_nav.events import SECOND, Event, Odometry
from liquid_nav.files import WholeFile
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.recorder import (
    BODY,
    WORLD,
    FlightRecorder,
    odometry_message,
    pose_message,
    quaternion_message,
)
from liquid_nav.recording.writer import header, message, vector3
from liquid_nav.replay.topics import TRUTH
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav_sim.faults.schedule import script_of
from liquid_nav_sim.rotation import rotate_back, rotation_matrix
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.world import World

STATE = f"{TRUTH}/odom"
SCENE = f"{TRUTH}/scene"
OUTCOME = f"{TRUTH}/outcome"
FAULTS = f"{TRUTH}/faults"
TF, TF_STATIC = "/tf", "/tf_static"

PERIOD = SECOND // 100
"""Time between two true states, ns."""

GROUND_SIDE = 60.0
"""Metres; the ground is drawn as a square of this size about the origin."""

_MARKERS = {Shape.BOX: 1, Shape.SPHERE: 2, Shape.CYLINDER: 3}
"""Types of ``visualization_msgs/Marker``."""

_TARGET_ID = 1
"""Of the target's marker: before it comes the ground, after it the obstacles."""

_NO_BYTES = np.zeros(0, np.uint8)


class SimulationRecorder(WholeFile):
    """Writes one flight to an MCAP file.

    Beside what `FlightRecorder` writes: the true state at 100 Hz (``nav_msgs/Odometry`` on `STATE`,
    and as the transform from `WORLD` to `BODY`), where each sensor sits on the body, the
    scene as markers on `SCENE` (what moves, with each state), and at the end the outcome on
    `OUTCOME` and on `FAULTS` what was broken, if anything, as a script that `liquid-nav fly
    --faults` takes.

    Args:
        path: the file.
        world: what is flown in; its flight begins before the first event.
        safety: settings that it is flown with, see `FlightRecorder`.

    Raises:
        OSError: when the file cannot be written.

    """

    def __init__(self, path: Path, world: World, safety: SafetyConfig | None = None) -> None:
        models = [sensor.model for sensor in world.config.sensors]
        # Where there is no camera, no frame asks for its calibration.
        model = next((m for m in models if isinstance(m, CameraModel)), CameraModel())
        camera = PolicyCamera(model.width, model.height, model.horizontal_fov)
        self._recorder = FlightRecorder(path, camera, model.distortion, safety)
        self._world = world
        self._next_state: int | None = None

    def close(self) -> None:
        """Note outcome and faults, finish the file and give it its name."""
        faults = self._world.faults
        if faults:
            script = message("std_msgs/msg/String", data=script_of(faults))
            self._recorder.write(FAULTS, script, self._world.time)
        outcome = self._world.outcome
        if outcome is not None:
            said = message("std_msgs/msg/String", data=outcome.value)
            self._recorder.write(OUTCOME, said, self._world.time)
        self._recorder.close()

    def discard(self) -> None:
        """Leave no file, unless it was closed."""
        self._recorder.discard()

    def event(self, event: Event) -> None:
        """Record an event that the world handed over, and the true state when it is time."""
        if self._next_state is None:
            self._note_scene()
        if self._next_state is None or self._world.time >= self._next_state:
            self._note_state()
        self._recorder.event(event)

    def command(self, command: Command) -> None:
        """Record a command, at the time for which it was asked."""
        self._recorder.command(command)

    def _note_scene(self) -> None:
        world = self._world
        for sensor in world.config.sensors:
            mount = sensor.model.mount(sensor.name)
            if mount is not None:
                placed = _transform(
                    BODY, mount.frame, mount.position, mount.orientation, world.time
                )
                self._recorder.write(TF_STATIC, placed, world.time)
        self._recorder.write(SCENE, _markers(world.scene, world.time), world.time)

    def _note_state(self) -> None:
        now, state = self._world.time, self._world.state
        self._next_state = (now // PERIOD + 1) * PERIOD
        attitude = rotation_matrix(state.orientation.tolist())
        velocity = np.array(rotate_back(attitude, state.linear_velocity.tolist()))
        truth = Odometry(
            now, now, state.position, state.orientation, velocity, state.angular_velocity
        )
        self._recorder.write(STATE, odometry_message(truth), now)
        placed = _transform(WORLD, BODY, state.position, state.orientation, now)
        self._recorder.write(TF, placed, now)
        scene = self._world.scene
        if scene.route is not None:
            self._recorder.write(SCENE, _markers(scene, now, moving_only=True), now)


def _transform(
    parent: str, child: str, position: ArrayLike, orientation: ArrayLike, stamp: int
) -> Any:
    """``tf2_msgs/TFMessage`` of one transform: pose of `child` in `parent`."""
    x, y, z = np.asarray(position, np.float64).tolist()
    moved = message(
        "geometry_msgs/msg/Transform",
        translation=vector3((x, y, z)),
        rotation=quaternion_message(orientation),
    )
    stamped = message(
        "geometry_msgs/msg/TransformStamped",
        header=header(stamp, parent),
        child_frame_id=child,
        transform=moved,
    )
    return message("tf2_msgs/msg/TFMessage", transforms=[stamped])


def _markers(scene: Scene, stamp: int, moving_only: bool = False) -> Any:
    """``visualization_msgs/MarkerArray`` of ground, target and obstacles, or what moves of them."""
    solids = dict(enumerate((_ground(scene), *scene.solids)))
    place = scene.target_position(stamp / SECOND)
    if scene.target is not None and place is not None:
        solids[_TARGET_ID] = replace(scene.target, position=place)
    if moving_only:
        solids = {_TARGET_ID: solids[_TARGET_ID]}
    drawn = [_marker(index, solid, stamp) for index, solid in solids.items()]
    return message("visualization_msgs/msg/MarkerArray", markers=drawn)


def _ground(scene: Scene) -> Solid:
    red, green, blue = (scene.appearance.ground.mean(axis=(0, 1)) / 255).tolist()
    centre, size = np.array([0.0, 0.0, -0.01]), (GROUND_SIDE, GROUND_SIDE, 0.02)
    return Solid(Shape.BOX, centre, size, (red, green, blue))


def _marker(index: int, solid: Solid, stamp: int) -> Any:
    size = solid.size
    sides = {
        Shape.SPHERE: (size[0],) * 3,
        Shape.CYLINDER: (size[0], size[0], size[-1]),
        Shape.BOX: size,
    }[solid.shape]
    red, green, blue = solid.colour
    half = solid.yaw / 2
    forever = message("builtin_interfaces/msg/Duration", sec=0, nanosec=0)
    return message(
        "visualization_msgs/msg/Marker",
        header=header(stamp, WORLD),
        ns="scene",
        id=index,
        type=_MARKERS[solid.shape],
        action=0,
        pose=pose_message(solid.position, (0.0, 0.0, np.sin(half), np.cos(half))),
        scale=vector3((sides[0], sides[1], sides[2])),
        color=message("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=1.0),
        lifetime=forever,
        frame_locked=False,
        points=[],
        colors=[],
        texture_resource="",
        texture=_no_texture(stamp),
        uv_coordinates=[],
        text="",
        mesh_resource="",
        mesh_file=message("visualization_msgs/msg/MeshFile", filename="", data=_NO_BYTES),
        mesh_use_embedded_materials=False,
    )


def _no_texture(stamp: int) -> Any:
    return message(
        "sensor_msgs/msg/CompressedImage", header=header(stamp, ""), format="", data=_NO_BYTES
    )
