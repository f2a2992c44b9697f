"""The nominal conditions of a study, which the cells of its suites change."""

from dataclasses import asdict

from liquid_nav.learning.sensing import fitted
from liquid_nav.onboard import Manifest, PolicyCamera
from liquid_nav_sim.config import WorldConfig, fit
from liquid_nav_sim.tasks.registry import make_task


def nominal_conditions(
    task: str, difficulty: float, renderer: str, manifest: Manifest | None
) -> WorldConfig:
    """Make the default world of a task, with the camera of a policy and every sensor it reads.

    Camera and IMU are always fitted, because an expert may ask what the camera has seen, and
    other pilots fly by them.

    Args:
        task: name of the task.
        difficulty: its difficulty.
        renderer: what draws for the cameras.
        manifest: of the policy's bundle; None if no policy flies.

    Raises:
        SimulationError: on an unknown task or renderer, or a difficulty out of its range.

    """
    config = WorldConfig(task=make_task(task, difficulty), renderer=renderer)
    if manifest is None:
        return config
    policy = manifest.config
    camera = fit("camera", config.vehicle, asdict(policy.camera or PolicyCamera()))
    config = config.with_sensor("camera", camera.model, camera.timing)
    return fitted(config, {encoder.channel for encoder in policy.encoders})
