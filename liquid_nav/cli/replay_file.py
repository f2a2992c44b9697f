"""The YAML file of ``liquid-nav replay --config``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_nav.errors import ConfigError
from liquid_nav.replay.topics import Topics


@dataclass(frozen=True)
class ReplayFile:
    """What the YAML file can say; the keys of the file are the attributes.

    Attributes:
        topics: topic of each role, see `Topics`.
        camera_model: calibration with the fields of ``sensor_msgs/CameraInfo``, or None.
        imu_rotation: unit quaternion x, y, z, w from the IMU's frame to the body's, or None.
        limits: limits that the controller flew with; they replace the recorded ones.

    """

    topics: Topics = field(default_factory=Topics)
    camera_model: Any | None = None
    imu_rotation: tuple[float, float, float, float] | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


def read_replay_file(path: Path | None) -> ReplayFile:
    """Read the YAML file; without one, everything has its default.

    Raises:
        ConfigError: when the file is not YAML or has an unknown key or a wrong value.
        OSError: when the file cannot be read.

    """
    if path is None:
        return ReplayFile()
    try:
        with path.open(encoding="utf-8") as file:
            content = YAML(typ="safe").load(file) or {}
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    known = [entry.name for entry in fields(ReplayFile)]
    if not isinstance(content, dict) or not content.keys() <= set(known):
        raise ConfigError(f"{path} must be a mapping with some of the keys {', '.join(known)}")
    try:
        values: dict[str, Any] = {}
        if "topics" in content:
            values["topics"] = Topics.of({k: str(v) for k, v in content["topics"].items()})
        if "camera_model" in content:
            values["camera_model"] = _camera_model(**content["camera_model"])
        if "imu_rotation" in content:
            x, y, z, w = map(float, content["imu_rotation"])
            values["imu_rotation"] = (x, y, z, w)
        if "limits" in content:
            values["limits"] = {str(k): float(v) for k, v in content["limits"].items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return ReplayFile(**values)


def _camera_model(
    width: int, height: int, k: list[float], d: list[float], distortion_model: str = "plumb_bob"
) -> Any:
    if len(k) != 9:
        raise ValueError(f"camera_model.k must be 9 numbers, got {len(k)}")
    return SimpleNamespace(
        width=int(width),
        height=int(height),
        k=np.array(k, np.float64),
        d=np.array(d, np.float64),
        distortion_model=str(distortion_model),
    )
