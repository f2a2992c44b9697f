"""Fixtures that many tests share."""

import pytest
import torch

from liquid_nav.onboard import Policy
from liquid_nav.policy import make_policy
from support import small_network

torch.set_num_threads(1)


@pytest.fixture(scope="session", params=["liquid_flow", "ltc"])
def policy(request: pytest.FixtureRequest) -> Policy:
    """An untrained policy for every liquid cell."""
    return make_policy(*small_network(request.param))


@pytest.fixture(scope="session")
def flow_policy() -> Policy:
    """An untrained LiquidFlow policy."""
    return make_policy(*small_network())
