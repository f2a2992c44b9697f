"""The world: physics, sensors and a task. It takes commands and emits events, like a vehicle."""

import pybullet

from liquid_nav.command import Command
from liquid_nav.events import SECOND, Event
from liquid_nav_sim.air.wind import Wind
from liquid_nav_sim.arena import FIRST_LOOK, Arena
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.tasks.base import Outcome
from liquid_nav_sim.vehicle.autopilot import Autopilot
from liquid_nav_sim.vehicle.setpoints import Setpoint
from liquid_nav_sim.vehicle.state import GRAVITY, Motion, RotorTurn

__all__ = ["FIRST_LOOK", "Outcome", "World"]


class World(Arena):
    """One vehicle in one PyBullet client, flown flight after flight.

    `reset` begins a flight. Then `next_event` returns one measurement at a time, in order of
    arrival, and `command` takes a setpoint, until `outcome` is set. Scene and disturbances
    (vehicle, wind, sensor noise, timing) draw from separate random streams of the seed.

    See `Arena` for arguments, attributes and errors; `vehicle` is drawn for each flight.
    """

    def reset(self, seed: int) -> None:
        """Begin the flight of `seed`; the same seed and commands give the same flight.

        Raises:
            SimulationError: on a seed that is not a whole number >= 0, or after `close`.
        """
        draws, config = self._set_scene(seed), self.config
        pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=self.client)
        pybullet.setTimeStep(config.step / SECOND, physicsClientId=self.client)
        self._set_vehicle(config.randomisation.draw(config.vehicle, draws["vehicle"]), draws)
        self._autopilot = Autopilot(config.vehicle, config.autopilot)
        self._wind = Wind(config.wind, draws["wind"])
        self._mass = 1.0
        self._setpoint: Setpoint = Command(0)

    def command(self, setpoint: Setpoint) -> None:
        """Set the setpoint that the autopilot tracks from the next physics step on.

        Raises:
            SimulationError: on an object that is not a setpoint.
        """
        if not isinstance(setpoint, Setpoint):
            raise SimulationError(
                "a setpoint must be a Command, an AttitudeSetpoint or a RateSetpoint, got "
                f"{setpoint!r}"
            )
        self._setpoint = setpoint

    def next_event(self, until: int | None = None) -> Event | None:
        """Fly until the next measurement arrives, and return it.

        Args:
            until: stop after the first physics step that ends at or after this time, ns.

        Returns:
            The measurement; None if the flight is over, with `outcome` set, or at `until`.

        Raises:
            SimulationError: before `reset` or after `close`.
        """
        if not self._flying:
            raise SimulationError("no flight is under way: call reset() first")
        while (event := self._sensors.next(self.time)) is None:
            if self.outcome is not None or (until is not None and self.time >= until):
                return None
            self._step()
        return event

    def _step(self) -> None:
        config, dt = self.config, self.config.step / SECOND
        before, vehicle = self._kinematics, self._vehicle
        angles = vehicle.rotors.angles
        thrusts = self._autopilot.update(self._setpoint, before, dt, vehicle.rotors.full_thrust)
        wind = self._wind.advance(dt, before.position[2], before.linear_velocity)
        wind = self._faults.wind(wind, self.time)
        mass = self._faults.mass(self.time)
        if mass != self._mass:
            vehicle.load(mass)
            self._mass = mass
        vehicle.apply(self._faults.thrusts(thrusts, self.time), wind, dt)
        pybullet.stepSimulation(physicsClientId=self.client)
        self._kinematics, self._state = vehicle.observe(dt), None
        start, self.time = self.time, self.time + config.step
        # Bullet checks contacts in the next step with the bodies in these places.
        self._stage(self.time)
        self.attempt.update(self._kinematics.position, self.time / SECOND)
        rotors = RotorTurn(angles, vehicle.rotors.angles, self._faults.rotor_damage(start))
        self._sensors.advance(Motion(before, self._kinematics, start, self.time, rotors))
        self._judge()
