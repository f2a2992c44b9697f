"""The mixer: it turns a total thrust and a torque into one thrust for each rotor."""

from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.rotors import PerRotor


class Mixer:
    """Distributes thrust and torque over the rotors.

    If the rotors cannot deliver everything, roll and pitch have the highest priority, then yaw,
    then thrust: the vehicle keeps its attitude at the expense of heading and height.

    Args:
        parameters: the airframe.
    """

    def __init__(self, parameters: VehicleParameters) -> None:
        self._lever, self._ratio = parameters.lever, parameters.drag_torque_ratio

    def mix(self, thrust: float, torque: Vector, full: float) -> PerRotor:
        """Thrust of each rotor in [0, full], N.

        Args:
            thrust: sum over all rotors, N.
            torque: N m, body FLU.
            full: largest thrust of one rotor, N.
        """
        x, y, z = torque
        roll, pitch, yaw = x / (4 * self._lever), y / (4 * self._lever), z / (4 * self._ratio)
        # Roll and pitch alone spread the thrusts over 2 (|roll| + |pitch|), which must fit in full.
        spread = 2 * (abs(roll) + abs(pitch))
        scale = full / spread if spread > full else 1.0
        roll, pitch = scale * roll, scale * pitch
        # With yaw the spread is at least 2 (max(|roll|, |pitch|) + |yaw|).
        room = full / 2 - max(abs(roll), abs(pitch))
        yaw = min(max(yaw, -room), room)
        # The signs follow `airframe.ROTOR_SIGNS`.
        a, b, c, d = (
            -roll - pitch - yaw,
            roll + pitch - yaw,
            roll - pitch + yaw,
            pitch - roll + yaw,
        )
        lowest, highest = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
        share = min(max(thrust / 4, -lowest), full - highest)
        # Without this, rounding errors could leave the range.
        return (
            min(max(share + a, 0.0), full),
            min(max(share + b, 0.0), full),
            min(max(share + c, 0.0), full),
            min(max(share + d, 0.0), full),
        )
