"""The mixer: thrust and torque in, a thrust for each rotor out."""

from liquid_nav_sim.rotation import Vector
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.rotors import PerRotor


class Mixer:
    """Shares thrust and torque out among the rotors, with priorities.

    Where the rotors cannot give all of it, roll and pitch go first, then yaw, then thrust: the
    vehicle keeps its attitude, and gives up heading and height for it.

    Args:
        parameters: the airframe.
    """

    def __init__(self, parameters: VehicleParameters) -> None:
        self._lever, self._ratio = parameters.lever, parameters.drag_torque_ratio

    def mix(self, thrust: float, torque: Vector, full: float) -> PerRotor:
        """Thrust of each rotor in [0, full], N.

        Args:
            thrust: of all rotors, N.
            torque: N m, body FLU.
            full: the most that one rotor gives, N.
        """
        x, y, z = torque
        roll, pitch, yaw = x / (4 * self._lever), y / (4 * self._lever), z / (4 * self._ratio)
        # Roll and pitch together move the rotors apart by up to 2 (|roll| + |pitch|) <= full.
        apart = 2 * (abs(roll) + abs(pitch))
        scale = full / apart if apart > full else 1.0
        roll, pitch = scale * roll, scale * pitch
        # With yaw it is 2 (max(|roll|, |pitch|) + |yaw|) at least.
        room = full / 2 - max(abs(roll), abs(pitch))
        yaw = min(max(yaw, -room), room)
        # Signs as in `airframe.ROTOR_SIGNS`.
        a, b, c, d = (
            -roll - pitch - yaw,
            roll + pitch - yaw,
            roll - pitch + yaw,
            pitch - roll + yaw,
        )
        lowest, highest = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
        share = min(max(thrust / 4, -lowest), full - highest)
        # Rounding alone could leave the range by the last digit.
        return (
            min(max(share + a, 0.0), full),
            min(max(share + b, 0.0), full),
            min(max(share + c, 0.0), full),
            min(max(share + d, 0.0), full),
        )
