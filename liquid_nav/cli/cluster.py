"""The option ``--cluster``: where flights are flown."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from liquid_nav.learning.flying.workers import Fleet

OPTION = tyro.conf.arg(metavar="HOST:PORT|auto|local", help_behavior_hint="(default: this machine)")
"""Marks the option; goes into `typing.Annotated`."""


def fleet_at(address: str | None, workers: int) -> "AbstractContextManager[Fleet]":
    """Give what flies.

    Args:
        address: of a ray cluster, see `liquid_nav.learning.flying.cluster.RayFleet`; None for
            processes of this machine.
        workers: number of these processes, or of cores of a cluster that is started here.

    Raises:
        ConfigError: when there is no cluster at the address.

    """
    if address is None:
        from liquid_nav.learning.flying.workers import LocalFleet

        return nullcontext(LocalFleet(workers))
    from liquid_nav.learning.flying.cluster import RayFleet

    return RayFleet(address, workers)
