"""How an LTC is advanced over an interval: one solver a file."""

from liquid_nav.liquid.options import check_choice
from liquid_nav.liquid.solvers.base import Solver, SolverOptions
from liquid_nav.liquid.solvers.dopri5 import Dopri5
from liquid_nav.liquid.solvers.exponential import Exponential
from liquid_nav.liquid.solvers.fused import Fused
from liquid_nav.liquid.solvers.runge_kutta import RungeKutta4

__all__ = ["SOLVERS", "Solver", "SolverOptions", "make_solver"]

SOLVERS: dict[str, type[Solver]] = {
    "exponential": Exponential,
    "fused": Fused,
    "rk4": RungeKutta4,
    "dopri5": Dopri5,
}
"""Solvers by the name under which an `LTC` asks for them."""


def make_solver(name: str, options: SolverOptions) -> Solver:
    """Build the solver called `name`.

    Raises:
        ConfigError: if there is no such solver, or it refuses the options.

    """
    check_choice(SOLVERS, solver=name)
    return SOLVERS[name](options)
