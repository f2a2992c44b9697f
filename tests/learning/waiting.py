"""Wait for what another process does."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], seconds: float = 300.0) -> None:
    """Return once a condition holds; fail if it does not within some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
