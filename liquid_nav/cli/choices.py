"""Options whose values are names of parts: tasks, vehicles, cells.

Packages that users install add parts of their own, so the names are not known when the options are
declared. They are looked up when a command line is parsed, and only those of its command: some of
the tables are heavy to import.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import tyro


def one_of(
    names: Callable[[], Iterable[str]],
    default: Callable[[], str] | None = None,
    otherwise: str | None = None,
    several: bool = False,
) -> Any:
    """Mark a string option that takes one of some names; goes into `typing.Annotated`.

    ``--help`` lists the names, and the parser refuses any other value.

    Args:
        names: gives the names.
        default: gives what ``--help`` shows as the default; None for an argument that is required.
        otherwise: what else the option takes, such as ``FILE``. The parser then lets every value
            pass, and whoever reads the option checks it.
        several: whether the option is a tuple of such names.

    """

    def type_of_option() -> Any:
        known = tuple(names())
        if several:
            return tuple[Literal[known], ...]  # type: ignore[valid-type]
        if otherwise is None:
            return Literal[known]
        return Annotated[str, tyro.conf.arg(metavar=f"{{{','.join(known)}}}|{otherwise}")]

    return tyro.conf.arg(
        constructor_factory=type_of_option,
        help_behavior_hint=None if default is None else lambda _: f"(default: {default()})",
    )


def task_names() -> Iterable[str]:
    """Names of the tasks that the simulator has."""
    from liquid_nav_sim.tasks.registry import TASKS

    return TASKS


def suite_names() -> Iterable[str]:
    """Names of the suites of conditions."""
    from liquid_nav.evaluation.suites import SUITES

    return SUITES


def appearance_names() -> Iterable[str]:
    """Names of the families of appearances that the simulator draws."""
    from liquid_nav_sim.scenes.appearance import FAMILIES

    return FAMILIES


def vehicle_names() -> Iterable[str]:
    """Names of the vehicles that the simulator has."""
    from liquid_nav_sim.vehicle.files import VEHICLES

    return VEHICLES


def autopilot_names() -> Iterable[str]:
    """Names of the autopilots that the simulator has."""
    from liquid_nav_sim.vehicle.autopilot_model import AUTOPILOTS

    return AUTOPILOTS


def cell_names() -> Iterable[str]:
    """Names of the recurrent cells."""
    from liquid_nav.liquid import CELLS

    return CELLS
