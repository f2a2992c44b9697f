"""The nominal conditions of a study, which the cells of its suites change."""

from collections.abc import Sequence
from dataclasses import asdict

from liquid_nav.learning.flying.sensing import fitted
from liquid_nav.onboard import Manifest, PolicyCamera
from liquid_nav_sim.config import WorldConfig, fit
from liquid_nav_sim.tasks.registry import make_task


def nominal_conditions(
    task: str,
    difficulty: float,
    speed: float,
    renderer: str,
    manifest: Manifest | None,
    sensors: Sequence[str] = (),
) -> WorldConfig:
    """Make the default world of a task, with the camera of a policy and every sensor it needs.

    Camera and IMU are always fitted, because an expert may ask what the camera has seen, and
    other pilots fly by them.

    Args:
        task: name of the task.
        difficulty: its difficulty.
        speed: multiple of the usual speeds, see `Task.at_speed`.
        renderer: what draws for the cameras.
        manifest: of the policy's bundle; None if no policy flies.
        sensors: kinds of further sensors, for channels that the policy can do without.

    Raises:
        SimulationError: on an unknown task, renderer or sensor, or a difficulty or speed out of its
            range.

    """
    config = WorldConfig(task=make_task(task, difficulty, speed), renderer=renderer)
    if manifest is not None:
        policy = manifest.config
        camera = fit("camera", config.vehicle, asdict(policy.camera or PolicyCamera()))
        config = config.with_sensor("camera", camera.model, camera.timing)
        config = fitted(config, policy.needed)
    for name in sensors:
        config = config.with_sensor(name)
    return config
