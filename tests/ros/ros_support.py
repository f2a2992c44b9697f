"""ROS 2 for tests: a domain for each test process, and spinning that waits on events.

Importing this skips the module or the test that does so where `rclpy` is not installed.
"""

import fcntl
import functools
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

with warnings.catch_warnings():  # The wheels' lark uses a deprecated module.
    warnings.simplefilter("ignore", DeprecationWarning)
    import rosidl_generator_py  # noqa: F401

from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402

_LOCKS: list[TextIO] = []
"""Lock files, open as long as the process lives; the kernel frees the locks, however it ends."""


@functools.cache
def private_domain() -> int:
    """Take a ROS domain that no other test process has, for this process and its children.

    The environment holds it, for the contexts of this process and for its children.
    """
    folder = Path(tempfile.gettempdir()) / f"ros_test_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for domain in range(1, 102):  # Above 101 the ports of DDS are also Linux's ephemeral ones.
        lock = (folder / str(domain)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _LOCKS.append(lock)
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        for name in ("ROS_STATIC_PEERS", "ROS_LOCALHOST_ONLY"):
            os.environ.pop(name, None)
        return domain
    raise RuntimeError(f"all ROS domains from 1 to 101 are taken, see {folder}")


def until(
    executor: SingleThreadedExecutor,
    predicate: Callable[[], object],
    timeout: float = 60.0,
    what: str = "the predicate",
) -> None:
    """Spin until `predicate` holds; fail, naming `what`, when it does not within `timeout` s."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} s for {what}, which did not come")
        executor.spin_once(timeout_sec=0.02)


def matched(*endpoints: Any) -> bool:
    """Whether every publisher, subscription, client and service is matched with another one.

    A message that is published before may be lost.
    """
    return all(map(_is_matched, endpoints))


def _is_matched(endpoint: Any) -> bool:
    if hasattr(endpoint, "get_subscription_count"):
        return bool(endpoint.get_subscription_count())
    if hasattr(endpoint, "service_is_ready"):
        return bool(endpoint.service_is_ready())
    with endpoint.handle:
        return bool(endpoint.handle.get_publisher_count())


class Spinner:
    """A context, an executor and their nodes, for one test: ``with Spinner() as ros: ...``."""

    def __init__(self, executor: Callable[..., Any] = SingleThreadedExecutor) -> None:
        private_domain()
        self.context = Context()
        rclpy.init(args=[], context=self.context)
        self.executor = executor(context=self.context)

    def node(self, name: str, **options: Any) -> Node:
        """Create a node and spin it from now on."""
        return self.add(Node(name, context=self.context, **options))

    def add(self, node: Node) -> Node:
        """Spin a node that was created on `context`."""
        self.executor.add_node(node)
        return node

    def until(
        self, predicate: Callable[[], object], timeout: float = 60.0, what: str = "the predicate"
    ) -> None:
        """Spin until `predicate` holds, or fail."""
        until(self.executor, predicate, timeout, what)

    def until_matched(self, *endpoints: Any, timeout: float = 60.0) -> None:
        """Spin until every publisher, subscription and client is matched, or fail."""
        self.until(lambda: matched(*endpoints), timeout, f"a match of {len(endpoints)} endpoints")

    def close(self) -> None:
        """Destroy the nodes and end the context."""
        for node in self.executor.get_nodes():
            node.destroy_node()
        self.executor.shutdown(timeout_sec=5.0)
        rclpy.try_shutdown(context=self.context)

    def __enter__(self) -> "Spinner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
