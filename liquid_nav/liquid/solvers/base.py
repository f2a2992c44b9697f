"""What every solver of the LTC does."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.options import check_counts, check_flags, check_numbers, check_seconds
from liquid_nav.liquid.solvers.substeps import count_substeps
from liquid_nav.liquid.synapses import Interval, Membrane, Neurons, Synapses


@dataclass(frozen=True)
class SolverOptions:
    """What an `LTC` says about its solver; each solver uses what it needs.

    Attributes:
        max_step: seconds, the longest time over which the synapses are frozen.
        max_substeps: the largest number of substeps in one step.
        tolerance: relative and absolute tolerance of an adaptive solver.
        adjoint: whether gradients come from integrating backward instead of stored steps.

    Raises:
        ConfigError: if `max_step` is not positive and finite, `max_substeps` is below 1, or
            `tolerance` is outside (0, 1).

    """

    max_step: float = 0.02
    max_substeps: int = 50
    tolerance: float = 1e-6
    adjoint: bool = False

    def __post_init__(self) -> None:
        check_seconds(max_step=self.max_step)
        check_counts(most=10**6, max_substeps=self.max_substeps)
        check_numbers(tolerance=self.tolerance)
        check_flags(adjoint=self.adjoint)
        if not 0.0 < self.tolerance < 1.0:
            raise ConfigError(f"tolerance must be between 0 and 1, got {self.tolerance}")


class Solver(nn.Module, ABC):
    """Advances the neurons of an LTC over an interval, while their input is held.

    Every solver leaves v unchanged at dt = 0, and never leaves the neurons' certified interval.
    It is a module without parameters, so that TorchScript can compile it.

    Attributes:
        clamps: whether it needs `Neurons.interval`.
        one_gate: whether one substep is the exponential flow of the gates at its beginning.
        scriptable: whether TorchScript can compile it.
        has_adjoint: whether it can integrate gradients backward.

    Raises:
        ConfigError: if `options` ask for an adjoint that the solver does not have.

    """

    # TorchScript reads constants of a base class from here, and not from `Final`.
    __constants__ = ("clamps", "one_gate")
    clamps: ClassVar[bool] = False
    one_gate: ClassVar[bool] = False
    scriptable: ClassVar[bool] = True
    has_adjoint: ClassVar[bool] = False

    def __init__(self, options: SolverOptions) -> None:
        super().__init__()
        if options.adjoint and not self.has_adjoint:
            raise ConfigError(
                f"adjoint goes with the solver dopri5; a {type(self).__name__} stores its steps"
            )
        self.max_step = options.max_step
        self.max_substeps = options.max_substeps

    def count(self, dt: Tensor) -> list[int]:
        """Count the substeps of each of T intervals, dt (B, T) in seconds."""
        return count_substeps(dt, self.max_step, self.max_substeps)

    @abstractmethod
    def solve(self, neurons: Neurons, v: Tensor, dt: Tensor, count: int) -> Tensor:
        """Give the state (B, N) after dt (B,) seconds from v (B, N), in `count` substeps."""

    def scan(
        self,
        u: Tensor,
        dt: Tensor,
        v: Tensor,
        membrane: Membrane,
        sensory: Synapses,
        recurrent: Synapses,
        interval: Interval | None,
    ) -> Tensor | None:
        """Solve a whole sequence: states (B, T, N) for u (B, T, I), dt (B, T) and v (B, N).

        Gives None if `solve` is to do it, interval by interval.
        """
        return None
