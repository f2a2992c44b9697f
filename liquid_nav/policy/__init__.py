"""Policies: encoders, liquid core and command head; their configuration and their bundles."""

from typing import TYPE_CHECKING

from liquid_nav import lazy
from liquid_nav.policy.bundle import (
    Manifest,
    annotate_bundle,
    load_network,
    load_policy,
    read_manifest,
    save_bundle,
)
from liquid_nav.policy.config import PolicyCamera, PolicyConfig
from liquid_nav.policy.policy import Policy
from liquid_nav.policy.runtime import Memory, RawCommand

if TYPE_CHECKING:
    from liquid_nav.policy.network import PolicyNetwork

__all__ = [
    "Manifest",
    "Memory",
    "Policy",
    "PolicyCamera",
    "PolicyConfig",
    "PolicyNetwork",
    "RawCommand",
    "annotate_bundle",
    "load_network",
    "load_policy",
    "read_manifest",
    "save_bundle",
]

__getattr__ = lazy.attributes(__name__, {"PolicyNetwork": "network"})


def __dir__() -> list[str]:
    return __all__
