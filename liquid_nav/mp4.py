"""Writes MP4 files that play in a browser, frame by frame."""

from contextlib import suppress
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from liquid_nav.files import WholeFile, naming, put_in_place, staging_path


class Mp4Writer(WholeFile):
    """Streams frames to an H.264 file (yuv420p, index in front) that appears whole on `close`.

    Args:
        path: the file to make; an existing file is replaced on `close`.
        width, height: pixels, even.
        fps: frames per second.

    Raises:
        OSError: when the file cannot be made.
    """

    def __init__(self, path: Path, width: int, height: int, fps: int) -> None:
        self.path = path
        self.frames = 0
        self._staging = staging_path(path)
        self._container = av.open(
            str(self._staging), "w", format="mp4", options={"movflags": "faststart"}
        )
        self._stream = self._container.add_stream("libx264", rate=fps)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        # Fast and good enough; one thread leaves the other cores to a flight in progress.
        self._stream.options = {"preset": "veryfast", "crf": "22"}
        self._stream.codec_context.thread_count = 1
        self._open = True
        try:
            with naming(path):
                self._container.start_encoding()
        except OSError:
            self.discard()
            raise

    @property
    def size(self) -> int:
        """Bytes written so far, without the frames that the encoder still holds back."""
        return self._staging.stat().st_size

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append a frame: uint8 RGB, shape (height, width, 3)."""
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        with naming(self.path):
            self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Finish the file and put it in place; without a frame there is no file.

        A second call does nothing.
        """
        if not self._open:
            return
        if not self.frames:
            self.discard()
            return
        try:
            with naming(self.path):
                self._container.mux(self._stream.encode())
                self._finish()
                put_in_place(self._staging, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Delete the unfinished file; does nothing after `close`."""
        # What is still buffered cannot be written to a full disk, and is not wanted.
        with suppress(OSError):
            self._finish()
        self._staging.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._open:
            self._open = False
            self._container.close()
