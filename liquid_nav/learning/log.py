"""The log of one round of training, as a file that TensorBoard reads."""

import socket
import time
from pathlib import Path
from types import TracebackType

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

_FLUSHED = 2.0
"""Seconds after which rows are flushed, for those who watch the training."""


class RoundLog:
    """Rows of named numbers, each at a step.

    It takes the place of the file that an earlier attempt at this round left. TensorBoard's own
    writer has a thread, which prints a traceback when the disk is full; this one raises.

    Args:
        folder: folder of the logs of all rounds; it is created if need be.
        round_: number of the round.

    Raises:
        OSError: when the file cannot be written, it names the file; so do the methods.

    """

    def __init__(self, folder: Path, round_: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f".round{round_:03d}"
        for cut in folder.glob(f"*{suffix}"):
            cut.unlink()
        # TensorBoard reads files in the order of their names.
        begin = f"{int(time.time()):010d}"
        self._path = folder / f"events.out.tfevents.{begin}.{socket.gethostname()}{suffix}"
        self._file = self._path.open("wb")
        self._writer, self._flushed = RecordWriter(self._file), time.monotonic()
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def __enter__(self) -> "RoundLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError as full:
            # What ended the round before is told, not that its last rows are lost.
            if error is None:
                full.filename = str(self._path)
                raise

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Append a row."""
        row = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        self._write(Event(wall_time=time.time(), step=step, summary=row))

    def _write(self, event: Event) -> None:
        try:
            self._writer.write(event.SerializeToString())
            if time.monotonic() - self._flushed > _FLUSHED:
                self._file.flush()
                self._flushed = time.monotonic()
        except OSError as error:
            error.filename = str(self._path)
            raise
