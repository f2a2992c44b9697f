"""Records a simulated flight: measurements, commands, and the true state of the world.

The result is one MCAP file of standard ROS 2 messages, for Foxglove, Rerun, PlotJuggler and ``ros2
bag play``; `liquid_nav.replay` reads the measurements in it and ignores the truth.
"""

from pathlib import Path
from typing import Any

import numpy as np

from liquid_nav.command import Command
from liquid_nav.events import SECOND, Event, Odometry
from liquid_nav.files import WholeFile
from liquid_nav.messages.fields import (
    BODY,
    WORLD,
    Numbers,
    header,
    quaternion,
    vector3,
)
from liquid_nav.messages.odometry import OdometryMessage
from liquid_nav.messages.scene import TYPE as MARKERS
from liquid_nav.messages.scene import markers
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.recording.topics import TRUTH
from liquid_nav.recording.writer import message
from liquid_nav.rotations import inverse, rotate
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav_sim.faults.schedule import script_of
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.world import World

STATE = f"{TRUTH}/odom"
SCENE = f"{TRUTH}/scene"
OUTCOME = f"{TRUTH}/outcome"
FAULTS = f"{TRUTH}/faults"
TF, TF_STATIC = "/tf", "/tf_static"

PERIOD = SECOND // 100
"""Time between two true states, ns."""


class SimulationRecorder(WholeFile):
    """Writes one flight to an MCAP file.

    It holds what `FlightRecorder` writes, and in addition:

    - the true state at 100 Hz, as ``nav_msgs/Odometry`` on `STATE` and as the transform from
      `WORLD` to `BODY`;
    - the pose on the body of each sensor that has one;
    - the scene as markers on `SCENE`; a moving target again with each state;
    - at the end, the outcome on `OUTCOME`;
    - the faults, if there were any, on `FAULTS`, as a script that `liquid-nav fly --faults` reads.

    Args:
        path: the file.
        world: the simulator, reset before the first event.
        safety: settings of the pilot's safety layer, see `FlightRecorder`.

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
        """Write outcome and faults, finish the file and put it in place."""
        faults = self._world.faults
        if faults:
            script = message("std_msgs/msg/String", data=script_of(faults))
            self._recorder.write(FAULTS, script, self._world.time)
        outcome = self._world.outcome
        if outcome is not None:
            text = message("std_msgs/msg/String", data=outcome.value)
            self._recorder.write(OUTCOME, text, self._world.time)
        self._recorder.close()

    def discard(self) -> None:
        """Delete the unfinished file; does nothing after `close`."""
        self._recorder.discard()

    def event(self, event: Event) -> None:
        """Record an event, and the true state if it is due."""
        if self._next_state is None:
            self._write_scene()
        if self._next_state is None or self._world.time >= self._next_state:
            self._write_state()
        self._recorder.event(event)

    def command(self, command: Command) -> None:
        """Record a command at its stamp."""
        self._recorder.command(command)

    def _write_scene(self) -> None:
        world = self._world
        for sensor in world.config.sensors:
            mount = sensor.model.mount(sensor.name)
            if mount is not None:
                place = mount.position, mount.orientation
                placed = _transform(BODY, mount.frame, *place, world.time)
                self._recorder.write(TF_STATIC, placed, world.time)
        self._recorder.write(SCENE, _scene(world.scene, world.time), world.time)

    def _write_state(self) -> None:
        now, state = self._world.time, self._world.state
        self._next_state = (now // PERIOD + 1) * PERIOD
        world_to_body = inverse(state.orientation.tolist())
        velocity = np.array(rotate(world_to_body, state.linear_velocity.tolist()))
        truth = Odometry(
            now, now, state.position, state.orientation, velocity, state.angular_velocity
        )
        content = message(OdometryMessage.type, **OdometryMessage().encode(truth))
        self._recorder.write(STATE, content, now)
        placed = _transform(WORLD, BODY, state.position, state.orientation, now)
        self._recorder.write(TF, placed, now)
        scene = self._world.scene
        if scene.route is not None:
            self._recorder.write(SCENE, _scene(scene, now, moving_only=True), now)


def _transform(parent: str, child: str, position: Numbers, orientation: Numbers, stamp: int) -> Any:
    """``tf2_msgs/TFMessage`` of one transform: pose of `child` in `parent`."""
    transform = {
        "header": header(stamp, parent),
        "child_frame_id": child,
        "transform": {"translation": vector3(position), "rotation": quaternion(orientation)},
    }
    return message("tf2_msgs/msg/TFMessage", transforms=[transform])


def _scene(scene: Scene, time: int, moving_only: bool = False) -> Any:
    """``visualization_msgs/MarkerArray`` of a scene, see `markers`."""
    return message(MARKERS, markers=markers(scene, time, moving_only=moving_only))
