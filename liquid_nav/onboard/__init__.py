"""Policies that fly without torch: native kernel, cells, encoders, runtimes and model bundles."""

from liquid_nav.onboard.bundle import Manifest, load_policy, read_manifest
from liquid_nav.onboard.config import PolicyCamera, PolicyConfig
from liquid_nav.onboard.policy import Policy
from liquid_nav.onboard.runtime import Memory, RawCommand
from liquid_nav.onboard.step import NativeStep

__all__ = [
    "Manifest",
    "Memory",
    "NativeStep",
    "Policy",
    "PolicyCamera",
    "PolicyConfig",
    "RawCommand",
    "load_policy",
    "read_manifest",
]
