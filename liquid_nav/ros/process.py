"""One node in one process, from its start to its end in order."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from liquid_nav.errors import LiquidNavError

MISCONFIGURED = 2
"""Exit status of a node that cannot start as it was asked to; launch files tell it from a death."""

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT = 32 << 20
"""Bytes, the most that glibc takes: images of up to 11 million pixels."""


def run(make: Callable[[], Any]) -> NoReturn:
    """Run a node with a `close` on one thread until SIGINT or SIGTERM, and end it in order.

    An exception in a callback is logged, and the node goes on: a controller that leaves because
    somebody asked it for a transition that is none leaves a vehicle alone.

    Args:
        make: makes the node, which declares the parameter `executor`; a `LiquidNavError` or a wrong
            parameter in it is one line, and `MISCONFIGURED` the exit status.

    """
    keep_memory()
    ended: list[int] = []
    # rclpy's own handlers end the context at once, and with it the last command.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: ended.append(received))
    try:
        node = make()
    except (LiquidNavError, ParameterException) as error:
        rclpy.try_shutdown()
        print(f"error: {error}", file=sys.stderr)
        # The end is near; a signal now, as of a launch that ends everything, must not change it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        # By the long way: what the node was made of by then has no other end.
        raise SystemExit(MISCONFIGURED) from None
    settle()
    executor = make_executor(node.get_parameter("executor").value)
    executor.add_node(node)
    while not ended and rclpy.ok():
        _spin_once(executor, node)
    if rclpy.ok():
        node.close()
    executor.shutdown(timeout_sec=1.0)
    rclpy.try_shutdown()
    _leave()


def _leave() -> NoReturn:
    """End the process at once.

    All that has an end is ended by now. The interpreter would go through every object that was ever
    imported, which took more than 5 s on a busy machine: by then `ros2 launch` sends SIGTERM, and
    says that the process has died.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def keep_memory() -> None:
    """Let the C library keep the memory of one image for the next, where it is glibc.

    By default it gives memory of that size back at once, and every new image costs the page faults
    of fresh memory: 1.4 ms of the 2.0 that it takes to receive 640x480 pixels (measured).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_KEPT)


def settle() -> None:
    """Spare a process that has made its node two kinds of pauses.

    The garbage collector need not go through what stays to the end, which takes milliseconds. And
    OpenCV, where it is loaded, works on one thread: its others may have to wait for a core, and
    images are so small that one is as fast (measured: a third off the slowest hundredth of the
    controller's answers at 400 Hz, on two cores that four processes share).
    """
    gc.collect()
    gc.freeze()
    opencv = sys.modules.get("cv2")
    if opencv is not None:
        opencv.setNumThreads(1)


def make_executor(name: str) -> Any:
    """Executor of one thread, by name.

    Args:
        name: "events", which takes half the processor time and is in rclpy from 7.1 (jazzy) on, or
            "single", which is in every rclpy and which "events" falls back to.

    """
    if name == "events":
        try:
            from rclpy.experimental import EventsExecutor
        except ImportError:
            return SingleThreadedExecutor()
        return EventsExecutor()
    return SingleThreadedExecutor()


def _spin_once(executor: Any, node: Any) -> None:
    try:
        # The timeout bounds how long a signal waits for a node that has nothing to do.
        executor.spin_once(timeout_sec=0.1)
    except ExternalShutdownException:
        pass  # The loop of the caller sees it.
    except Exception as error:
        node.get_logger().error(f"{type(error).__name__}: {error}")
