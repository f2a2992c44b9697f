"""Policies in torch: encoders, liquid core, command head, and the bundles that training writes.

The code that flies is in `liquid_nav.onboard`, which needs no torch.
"""

from liquid_nav.policy.bundle import annotate_bundle, load_network, save_bundle
from liquid_nav.policy.network import PolicyNetwork
from liquid_nav.policy.scripted import make_policy

__all__ = ["PolicyNetwork", "annotate_bundle", "load_network", "make_policy", "save_bundle"]
