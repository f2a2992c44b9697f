"""Fixtures that many tests share."""

import pytest
import torch

from liquid_nav.policy import Policy
from support import small_network

torch.set_num_threads(1)


@pytest.fixture(scope="session", params=["liquid_flow", "ltc"])
def policy(request: pytest.FixtureRequest) -> Policy:
    """An untrained policy for every liquid cell."""
    return Policy.of(*small_network(request.param))


@pytest.fixture(scope="session")
def flow_policy() -> Policy:
    """An untrained LiquidFlow policy."""
    return Policy.of(*small_network())
