"""One node in one process, from its start to an orderly end."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import rclpy
import rclpy.logging
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions

from liquid_nav.errors import LiquidNavError
from liquid_nav.ros.executables import MISCONFIGURED
from liquid_nav.ros.parameters import PRIORITY, first_line

_MISUSE = (
    LiquidNavError,
    ParameterException,
    NameValidationException,
    rclpy_implementation.RCLError,
    rclpy_implementation.RCLInvalidROSArgsError,
    rclpy_implementation.UnknownROSArgsError,
    ImportError,
    OSError,
)
"""What ROS and this package raise on wrong arguments, parameters, names or missing packages."""

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT = 32 << 20
"""Bytes, the largest value that glibc accepts: images of up to 11 million pixels."""


_SWITCH_INTERVAL = 0.0005
"""s after which a thread that computes lets another one go on; Python's default is ten times that.
An operator's stop takes several such changes when measurements keep the other thread busy."""


def run(make: Callable[[], Any]) -> NoReturn:
    """Run a node on one thread until SIGINT or SIGTERM, call its `close` and exit.

    An exception in a callback is logged, and the node goes on: a controller that ended because
    somebody asked it for an impossible transition would leave its vehicle without commands.

    Args:
        make: makes the node, which declares the parameter `executor`. If that raises one of
            `_MISUSE`, or ROS refuses its arguments, one line is printed and the exit status is
            `MISCONFIGURED`.

    """
    keep_memory()
    ended: list[int] = []
    try:
        # rclpy's own handlers end the context at once, and with it the last command.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, _: ended.append(received))
        forward_log()
        node = make()
    except _MISUSE as error:
        rclpy.try_shutdown()
        unknown = isinstance(error, rclpy_implementation.UnknownROSArgsError)
        words = "unknown arguments of ROS: " if unknown else ""
        print(f"error: {words}{first_line(error)}", file=sys.stderr)
        # A signal that comes now, for instance from a launch that shuts down, must not change the
        # exit status.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        # Not `os._exit`: what the node has made by now is closed by the interpreter alone.
        raise SystemExit(MISCONFIGURED) from None
    settle()
    if node.has_parameter(PRIORITY.name):
        set_priority(node.get_parameter(PRIORITY.name).value, node.get_logger().warning)
    executor = make_executor(node.get_parameter("executor").value)
    executor.add_node(node)
    while not ended and rclpy.ok():
        _spin_once(executor, node)
    if rclpy.ok():
        node.close()
    executor.shutdown(timeout_sec=1.0)
    rclpy.try_shutdown()
    _exit()


def _exit() -> NoReturn:
    """End the process at once.

    Everything has been closed by now. The interpreter would go through every object that was ever
    imported, which took more than 5 s on a busy machine: by then `ros2 launch` sends SIGTERM, and
    reports that the process has died.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def keep_memory() -> None:
    """Make the C library, where it is glibc, keep the memory of one image for the next.

    By default it gives memory of that size back at once, and every new image costs the page faults
    of fresh memory: 1.4 ms of the 2.0 ms that it takes to receive 640x480 pixels (measured).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_KEPT)


def settle() -> None:
    """Avoid three kinds of pauses in a process that has made its node.

    The garbage collector no longer visits what exists now and stays to the end, which takes
    milliseconds. Threads take turns quickly. And OpenCV, where it is loaded, works on one thread:
    other threads may have to wait for a core, and for such small images one thread is as fast
    (measured: the 99th percentile of the controller's latency at 400 Hz is a third lower, on two
    cores that four processes share).
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_INTERVAL)
    opencv = sys.modules.get("cv2")
    if opencv is not None:
        opencv.setNumThreads(1)


def set_priority(nice: int, log: Callable[[str], object]) -> None:
    """Give all threads of this process a nice value; 0 leaves them as they are.

    The middleware has threads of its own by now, and Linux keeps a nice value for each thread.

    Args:
        nice: from -20, before all others, to 19.
        log: is told when the system does not allow that.

    """
    if nice == 0:
        return
    try:
        for thread in os.listdir("/proc/self/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), nice)
    except OSError as error:
        log(f"priority {nice} is not set: {error.strerror}; it needs CAP_SYS_NICE, or LimitNICE")


def forward_log() -> None:
    """Send what the library logs by `logging` to the log of ROS."""
    log = logging.getLogger("liquid_nav")
    log.addHandler(_ToRos())
    log.setLevel(logging.INFO)
    log.propagate = False


class _ToRos(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log, text = rclpy.logging.get_logger(record.name), record.getMessage()
        # rclpy allows one severity per line of code that logs.
        if record.levelno >= logging.ERROR:
            log.error(text)
        elif record.levelno >= logging.WARNING:
            log.warning(text)
        else:
            log.info(text)


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
        pass  # The loop of the caller checks for it.
    except Exception as error:
        node.get_logger().error(f"{type(error).__name__}: {error}")
