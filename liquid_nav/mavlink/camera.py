"""Frames for a vehicle whose autopilot has no camera: from OpenCV, or from a function."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import ConfigError
from liquid_nav.messages.camera import CameraAdapter, camera_info, camera_matrix
from liquid_nav.messages.decode import MessageError
from liquid_nav.onboard import PolicyCamera

Image = NDArray[np.uint8]
FrameSource = Callable[[], "Image | None"]
"""Waits for the next frame and returns it, uint8 RGB (H, W, 3); None when there is none."""


class OpenCvCamera:
    """Reads a device, a file, a stream or a GStreamer pipeline by OpenCV.

    Args:
        source: number of a device such as 0, or what `cv2.VideoCapture` opens.
        target: the policy's camera; frames are brought to its size and view.
        horizontal_fov: of this camera, radians, without distortion; None if it is the policy's.

    Raises:
        ConfigError: if the source cannot be opened, gives no frame, or cannot give frames of the
            policy's camera.

    """

    def __init__(
        self, source: str, target: PolicyCamera, horizontal_fov: float | None = None
    ) -> None:
        if horizontal_fov is not None and not 0 < horizontal_fov < math.pi:
            raise ConfigError(
                f"the camera's field of view must be in (0, 180) degrees, got "
                f"{math.degrees(horizontal_fov):g}"
            )
        self._capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # An old frame is of no use.
        found, image = self._capture.read()
        if not found:
            self.close()
            raise ConfigError(f"camera {source!r} gives no frame")
        height, width = image.shape[:2]
        info = None
        if horizontal_fov is not None:
            lens = PolicyCamera(width, height, horizontal_fov)
            info = SimpleNamespace(**camera_info(0, (width, height), camera_matrix(lens)))
        self._adapter = CameraAdapter(target, info)
        try:
            self._adapter.adapt(_rgb(image))
        except MessageError as error:
            self.close()
            raise ConfigError(
                f"camera {source!r}: {error}; give its field of view with --camera-fov"
            ) from error

    @property
    def covers(self) -> float:
        """Fraction of the policy's view that the camera sees."""
        return self._adapter.covers

    def __call__(self) -> Image | None:
        """See `FrameSource`."""
        found, image = self._capture.read()
        if not found:
            return None
        try:
            return self._adapter.adapt(_rgb(image))
        except MessageError:
            return None

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


def _rgb(image: NDArray[Any]) -> Image:
    conversion = cv2.COLOR_BGR2RGB if image.ndim == 3 else cv2.COLOR_GRAY2RGB
    rgb: Image = cv2.cvtColor(image, conversion).astype(np.uint8, copy=False)
    return rgb


class CameraThread:
    """Calls a source of frames on a thread of its own.

    Args:
        source: gives frames.
        on_frame: called with each.

    """

    PAUSE = 0.05
    """Seconds after which a source that gave nothing is asked again."""

    def __init__(self, source: FrameSource, on_frame: Callable[[Image], object]) -> None:
        self._source, self._on_frame = source, on_frame
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._closing.is_set():
            image = self._source()
            if image is None:
                self._closing.wait(self.PAUSE)
            else:
                self._on_frame(image)

    def close(self) -> None:
        """Stop; a source that hangs is left to itself."""
        self._closing.set()
        self._thread.join(timeout=1.0)
