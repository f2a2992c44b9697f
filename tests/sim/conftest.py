"""Fixtures that the tests of the simulator share."""

from collections.abc import Iterator

import pybullet
import pytest


@pytest.fixture
def client() -> Iterator[int]:
    number = pybullet.connect(pybullet.DIRECT)
    yield number
    pybullet.disconnect(number)
