"""Encoders: how a policy reads each channel. One file a channel, no torch."""

from collections.abc import Mapping
from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.onboard.encoders.base import Encoder, Measurement, OnboardEncoder, require_arrays
from liquid_nav.onboard.encoders.camera import CameraEncoder, PolicyCamera
from liquid_nav.onboard.encoders.dense import DenseEncoder, OnboardDense
from liquid_nav.onboard.encoders.goal import GoalEncoder
from liquid_nav.onboard.encoders.imu import ImuEncoder
from liquid_nav.onboard.encoders.odometry import OdometryEncoder
from liquid_nav.onboard.encoders.range import RangeEncoder
from liquid_nav.registry import Registry

__all__ = [
    "CAMERA_AND_IMU",
    "ENCODERS",
    "CameraEncoder",
    "DenseEncoder",
    "Encoder",
    "GoalEncoder",
    "ImuEncoder",
    "Measurement",
    "OdometryEncoder",
    "OnboardDense",
    "OnboardEncoder",
    "PolicyCamera",
    "RangeEncoder",
    "encoder_from_dict",
    "require_arrays",
]

CAMERA_AND_IMU: tuple[Encoder, ...] = (CameraEncoder(), ImuEncoder())
"""What a policy reads by default."""

ENCODERS: Registry[type[Encoder]] = Registry(
    "liquid_nav.encoders",
    "encoder",
    {
        kind.name: kind
        for kind in (CameraEncoder, ImuEncoder, GoalEncoder, RangeEncoder, OdometryEncoder)
    },
)
"""Encoders by name; packages add theirs by entry points of this group."""


def encoder_from_dict(data: Mapping[str, Any]) -> Encoder:
    """Build an encoder from what `Encoder.to_dict` gave.

    Raises:
        ConfigError: on an unknown encoder, or fields that it does not have.

    """
    try:
        fields = dict(data)
        return ENCODERS.get(fields.pop("encoder")).from_dict(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"not an encoder: {data!r}: {error!r}") from error
