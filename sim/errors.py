"""The error of the simulator's boundary."""

from liquid_nav.errors import LiquidNavError


class SimulationError(LiquidNavError, ValueError):
    """A simulator setting out of its range; the message names the field and what would be right."""
