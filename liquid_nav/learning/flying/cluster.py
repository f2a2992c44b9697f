"""Flights on a cluster of computers, by ray (https://www.ray.io).

The computers share no disk: a bundle is sent to them once, and the file of a flight comes back.
They have liquid_nav of this version installed, with the packages whose parts the flights use.
"""

import functools
import io
import logging
import os
import platform
import socket
import tempfile
import threading
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from zipfile import ZipFile

import ray
from ray.exceptions import RayError

from liquid_nav import __version__
from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.files import write_whole
from liquid_nav.learning.flying.workers import ATTEMPTS, Job, JobType, WorkerError
from liquid_nav.onboard import read_manifest

logger = logging.getLogger(__name__)

AUTO, LOCAL = "auto", "local"
"""Addresses: of the cluster that this machine is part of, or else of a new one on this machine; and
of a new one in any case."""

MEMORY = 2**28
"""Bytes that a cluster which is started here sets aside for bundles and files of flights."""

_STARTS = 3
"""How often a cluster is started here that does not come up."""


class RayFleet:
    """A ray cluster, on each of whose cores one flight is flown. A context manager.

    Args:
        address: ``HOST:PORT`` of a cluster, `AUTO` or `LOCAL`.
        workers: number of cores of a cluster that is started here. It ends with this fleet.

    Attributes:
        beside: cores of this machine that fly while the optimiser works beside them.

    Raises:
        ConfigError: when there is no cluster at the address.

    """

    def __init__(self, address: str = AUTO, workers: int = 2) -> None:
        # A cluster that is started here reports its use to the makers of ray otherwise.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet: dict[str, Any] = {
            "configure_logging": False,
            "logging_level": logging.ERROR,
            "log_to_driver": False,
        }
        self.beside, self._own = 0, address == LOCAL
        if address not in (AUTO, LOCAL):
            _check_address(address)
        if not self._own:
            try:
                ray.init(address=address, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                if address != AUTO:
                    raise ConfigError(
                        f"there is no ray cluster at {address}: {_in_a_line(error)}"
                    ) from error
                self._own = True
        if self._own:
            _start(max(workers, 1), quiet)
            self.beside = max(workers - 1, 1)
        self._fly = ray.remote(num_cpus=1, max_retries=0)(fly_remotely)

    def __enter__(self) -> "RayFleet":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ray.shutdown()

    def record(
        self,
        jobs: Sequence[JobType],
        stop: threading.Event | None = None,
        busy: threading.Event | None = None,
    ) -> Iterator[JobType]:
        """Fly and save flights, see `liquid_nav.learning.flying.workers.Fleet`."""
        waiting, begun = deque(jobs), Counter[Path]()
        flying: dict[Any, JobType] = {}
        bundles = {
            bundle: ray.put(_packed(bundle))
            for bundle in {job.bundle for job in jobs if job.bundle is not None}
        }
        try:
            while waiting or flying:
                while waiting and len(flying) < self._at_once(busy is not None and busy.is_set()):
                    job = waiting.popleft()
                    bundle = None if job.bundle is None else bundles[job.bundle]
                    flying[self._fly.remote(job, bundle, __version__)] = job
                if stop is not None and stop.is_set():
                    return
                for done in ray.wait(list(flying), timeout=0.2)[0]:
                    job = flying.pop(done)
                    begun[job.path] += 1
                    try:
                        result = ray.get(done)
                    except RayError as error:
                        _check_attempts(job, begun[job.path], error)
                        waiting.appendleft(job)
                        continue
                    if isinstance(result, Exception):
                        raise result
                    job.path.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(job.path, result)
                    yield job
        finally:
            for given_up in flying:
                ray.cancel(given_up, force=True)

    def _at_once(self, beside: bool) -> int:
        """Number of flights that are under way or wait on the cluster."""
        if beside and self._own:
            return self.beside
        # Twice as many as there are cores, so that none waits for its next flight.
        return max(2 * int(ray.cluster_resources().get("CPU", 1)), 1)


def fly_remotely(job: Job, bundle: bytes | None, version: str) -> bytes | Exception:
    """Fly a job on a computer of the cluster.

    Returns:
        The content of the file that the flight leaves behind, or what the flight raised.

    """
    from liquid_nav.learning.quiet_import import import_pybullet

    import_pybullet()

    import torch

    torch.set_num_threads(1)
    if version != __version__:
        return ConfigError(
            f"the computer {platform.node()} of the cluster has liquid_nav {__version__}, "
            f"this one {version}: install the same version on both"
        )
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / job.path.name
            place = None if bundle is None else Path(_unpacked(bundle).name)
            job.moved(path, place).fly()
            return path.read_bytes()
    except (LiquidNavError, OSError) as error:
        return error
    except Exception:
        return RuntimeError(f"the flight of seed {job.seed} failed: {traceback.format_exc()}")


def _start(cores: int, options: Mapping[str, Any]) -> None:
    """Start a cluster on this machine.

    Raises:
        ConfigError: when that fails several times.

    """
    for attempt in range(_STARTS):
        try:
            ray.init(
                address=LOCAL,
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=MEMORY,
                **options,
            )
        except Exception as error:  # noqa: PERF203  # ray raises just that
            # It gives its processes half a minute, which a busy machine may exceed.
            ray.shutdown()
            if attempt + 1 == _STARTS:
                raise ConfigError(
                    f"ray starts no cluster on this machine: {_in_a_line(error)}"
                ) from error
        else:
            return


def _check_address(address: str) -> None:
    """Raise ConfigError where nothing listens at an address: ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(f"a ray cluster is HOST:PORT, {AUTO} or {LOCAL}, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()
    except OSError as error:
        raise ConfigError(f"there is no ray cluster at {address}: {error.strerror}") from error


def _packed(bundle: Path) -> bytes:
    """Pack the files of a bundle into one archive.

    Raises:
        BundleError: when the bundle is missing or damaged.

    """
    read_manifest(bundle)
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        for file in sorted(bundle.iterdir()):
            archive.write(file, file.name)
    return content.getvalue()


@functools.lru_cache(maxsize=2)
def _unpacked(content: bytes) -> "tempfile.TemporaryDirectory[str]":
    """Unpack a bundle; the folder is deleted when later ones have taken its place."""
    folder = tempfile.TemporaryDirectory(prefix="liquid_nav-")
    with ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder.name)
    return folder


def _check_attempts(job: Job, attempts: int, error: RayError) -> None:
    """Report that a flight was lost, and raise WorkerError if it had its last attempt."""
    how = f"the flight of seed {job.seed} was lost on the cluster: {_in_a_line(error)}"
    if attempts >= ATTEMPTS:
        raise WorkerError(f"{how}, as was its first attempt; flights that are saved are kept")
    logger.warning("%s; it is flown again", how)


def _in_a_line(error: BaseException) -> str:
    """Give the first sentence of an error, whose text may be long."""
    return " ".join(str(error).split()).split(". ")[0][:200] or repr(error)
