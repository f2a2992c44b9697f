"""Flights in simulators that we did not write, see `liquid_nav.vehicle`."""

from typing import Protocol

from liquid_nav.evaluation.abroad.bullet import BulletVehicle
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.onboard import PolicyCamera
from liquid_nav.registry import Registry
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.tasks.base import Task

__all__ = ["NONE_INSTALLED", "SIMULATORS", "BulletVehicle", "Simulator"]


class Simulator(Protocol):
    """Makes a vehicle for one flight; a class of vehicles is one."""

    def __call__(
        self,
        scene: Scene,
        seed: int,
        *,
        task: Task | None = None,
        camera: PolicyCamera | None = None,
    ) -> SimulatedVehicle:
        """Make the vehicle, which is not connected.

        Args:
            scene: where to fly.
            seed: seed of what is random in the simulator.
            task: what counts as success, and the time limit; the task target by default.
            camera: size and lens of the camera; that of `PolicyCamera` by default.

        """
        ...


SIMULATORS: Registry[Simulator] = Registry("liquid_nav.simulators", "simulator")
"""Simulators by name. All come from entry points of the group ``liquid_nav.simulators``: two are
under ``examples/``, each with an environment of its own."""

NONE_INSTALLED = (
    "no simulator is installed in this environment; install examples/simulator_pyflyt or "
    "examples/simulator_gym_pybullet_drones, see docs/abroad.md"
)
"""What to say where `SIMULATORS` is empty."""
