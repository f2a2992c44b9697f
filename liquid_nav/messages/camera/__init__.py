"""Cameras: from the images of a calibrated camera to those of the policy's camera."""

from liquid_nav.messages.camera.adapter import CameraAdapter, CameraSource
from liquid_nav.messages.camera.calibration import (
    NO_DISTORTION,
    ImageOptions,
    camera_info,
    camera_matrix,
)

__all__ = [
    "NO_DISTORTION",
    "CameraAdapter",
    "CameraSource",
    "ImageOptions",
    "camera_info",
    "camera_matrix",
]
