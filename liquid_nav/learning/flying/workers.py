"""Flights for training and evaluation, flown by several processes at once and saved as they end.

A worker imports this module before anything else, so it is light: what flies comes with the jobs.
"""

from __future__ import annotations

import logging
import multiprocessing
import queue
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import Any, Protocol, TypeVar

from liquid_nav.errors import LiquidNavError
from liquid_nav.learning.quiet_import import import_pybullet

logger = logging.getLogger(__name__)

ATTEMPTS = 2
"""How often a flight is begun whose process dies."""


class WorkerError(LiquidNavError):
    """A process that flies dies again and again."""


class Job(Protocol):
    """A flight that can be sent to another process, that is, pickled."""

    @property
    def seed(self) -> int:
        """Seed of the flight, for messages."""
        ...

    @property
    def path(self) -> Path:
        """File that the flight leaves behind."""
        ...

    @property
    def bundle(self) -> Path | None:
        """Model bundle of the policy that flies; None without one."""
        ...

    def fly(self) -> None:
        """Fly, and write the file, whole or not at all."""
        ...

    def moved(self, path: Path, bundle: Path | None) -> Job:
        """Give the same flight on a machine where its file and its bundle are elsewhere."""
        ...


JobType = TypeVar("JobType", bound=Job)


class Fleet(Protocol):
    """What flies many flights: processes of this machine, or a cluster of machines.

    `LocalFleet` is one, and `liquid_nav.learning.flying.cluster.RayFleet` another.
    """

    @property
    def beside(self) -> int:
        """Number of cores of this machine that fly while something else needs the others."""
        ...

    def record(
        self,
        jobs: Sequence[JobType],
        stop: threading.Event | None = None,
        busy: threading.Event | None = None,
    ) -> Iterator[JobType]:
        """Fly and save flights.

        Yields each job whose flight is saved, in any order. When a process or a machine dies, its
        flight begins again elsewhere.

        Args:
            jobs: the flights.
            stop: once it is set, the flights under way are given up.
            busy: while it is set, something else works on this machine.

        Raises:
            WorkerError: when what flies dies again on the same flight.
            LiquidNavError, OSError: what a flight raises.

        """
        ...


class LocalFleet:
    """Processes of this machine.

    Args:
        workers: number of processes, at least 1. One fewer flies beside something else.

    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.beside = max(workers - 1, 1)

    def record(
        self,
        jobs: Sequence[JobType],
        stop: threading.Event | None = None,
        busy: threading.Event | None = None,
    ) -> Iterator[JobType]:
        """Fly and save flights, see `Fleet.record`."""
        waiting, begun = deque(jobs), Counter[Path]()
        team: dict[Any, _Worker] = {}
        try:
            while waiting or team:
                while waiting and len(team) < self._at_once(busy):
                    worker = _Worker()
                    team[worker.pipe] = worker
                    worker.fly(waiting.popleft())
                if stop is not None and stop.is_set():
                    return
                for pipe in connection.wait(list(team), None if stop is None else 0.2):
                    worker = team[pipe]
                    begun[worker.job.path] += 1
                    if not worker.landed():
                        del team[pipe]
                        _check_attempts(worker, begun[worker.job.path])
                        waiting.appendleft(worker.job)
                        continue
                    yield worker.job
                    if waiting:
                        worker.fly(waiting.popleft())
                    else:
                        team.pop(pipe).end()
        finally:
            for worker in team.values():
                worker.end()

    def _at_once(self, busy: threading.Event | None) -> int:
        """Number of processes that fly now."""
        return self._workers if busy is None or not busy.is_set() else self.beside


class Flights:
    """Flights that are flown and saved while this process does something else.

    Iterate over them to wait for their end: that yields once for each flight that is saved, and
    raises what `Fleet.record` raises. From then on, this process needs no core for itself.

    Args:
        jobs: the flights.
        fleet: what flies them; with None they are flown in this process, once they are waited for.
        beside: whether this process works meanwhile, until it waits for the flights.

    """

    def __init__(self, jobs: Sequence[Job], fleet: Fleet | None, beside: bool = False) -> None:
        self._jobs, self._count = jobs, len(jobs)
        self._stop, self._busy = threading.Event(), threading.Event()
        if beside:
            self._busy.set()
        self._saved: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if fleet is not None and jobs:
            self._thread = threading.Thread(target=self._record, args=(fleet,), daemon=True)
            self._thread.start()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[None]:
        if self._thread is None:
            for job in self._jobs:
                job.fly()
                yield
            return
        self._busy.clear()
        for _ in self._jobs:
            error = self._saved.get()
            if error is not None:
                raise error
            yield

    def close(self) -> None:
        """Give up the flights under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _record(self, fleet: Fleet) -> None:
        try:
            for _ in fleet.record(self._jobs, self._stop, self._busy):
                self._saved.put(None)
        except BaseException as error:
            self._saved.put(error)


def _check_attempts(worker: _Worker, attempts: int) -> None:
    """Report that a worker died, and raise WorkerError if its flight had its last attempt."""
    how = f"the process that flew seed {worker.job.seed} died {worker.cause()}"
    worker.end()
    if attempts >= ATTEMPTS:
        raise WorkerError(
            f"{how}, as the one before it; flights that are saved are kept. If memory is short, "
            "use --workers 1"
        )
    logger.warning("%s; a new one takes its place", how)


class _Worker:
    """A process that flies one job after the other.

    It ends when this process does, after its flight, because its end of the pipe is then alone.

    Attributes:
        pipe: becomes readable when the flight has ended, or the process.
        job: what it flies.

    """

    job: Any

    def __init__(self) -> None:
        # Fresh processes, for PyBullet and the threads of torch do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        with _interrupts_held():
            self._process.start()
        theirs.close()

    def fly(self, job: Job) -> None:
        """Begin a flight."""
        self.job = job
        # A process that has died shows in `landed`.
        with suppress(BrokenPipeError):
            self.pipe.send(job)

    def landed(self) -> bool:
        """Tell whether the flight has ended well; False if the process has died.

        Raises:
            LiquidNavError, OSError: what the flight raised.
            RuntimeError: when it raised anything else, with its traceback.

        """
        try:
            error = self.pipe.recv()
        except (EOFError, ConnectionError):
            return False
        if error is not None:
            raise error
        return True

    def cause(self) -> str:
        """Tell in words how the process died."""
        # A process that is about to end closes its pipe first.
        self._process.join(10.0)
        code = self._process.exitcode
        return f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"

    def end(self) -> None:
        """End the process, and delete the file that it has not finished."""
        self._process.kill()
        self._process.join()
        self.pipe.close()
        for unfinished in self.job.path.parent.glob(f".{self.job.path.name}.*.part"):
            unfinished.unlink(missing_ok=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C in this thread, and in processes started in here for ever.

    Ctrl-C reaches the whole process group, and a worker would answer it with a traceback, even
    while it still imports. The parent ends the workers.
    """
    # Otherwise starting a worker starts this process first, which frees the signal in this thread.
    resource_tracker.ensure_running()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _work(pipe: Any) -> None:
    """Fly the jobs that come through the pipe until its other end closes."""
    import_pybullet()

    import torch

    torch.set_num_threads(1)
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionError):
            return
        error: Exception | None = None
        try:
            job.fly()
        except (LiquidNavError, OSError) as raised:
            error = raised
        except Exception:
            error = RuntimeError(f"the flight of seed {job.seed} failed: {traceback.format_exc()}")
        with suppress(BrokenPipeError):
            pipe.send(error)
