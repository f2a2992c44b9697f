"""The YAML file of ``liquid-nav replay --config``."""

import math
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
            content = YAML(typ="safe").load(file)
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    known = [entry.name for entry in fields(ReplayFile)]
    if not isinstance(content, dict) or not content or not content.keys() <= set(known):
        what = "must be" if content else "is empty, but must be"
        raise ConfigError(f"{path} {what} a mapping with some of the keys {', '.join(known)}")
    try:
        values: dict[str, Any] = {}
        if "topics" in content:
            values["topics"] = Topics.of({k: _text(v) for k, v in content["topics"].items()})
        if "camera_model" in content:
            values["camera_model"] = _camera_model(**content["camera_model"])
        if "imu_rotation" in content:
            x, y, z, w = map(_finite, content["imu_rotation"])
            values["imu_rotation"] = (x, y, z, w)
        if "limits" in content:
            values["limits"] = {str(k): _finite(v) for k, v in content["limits"].items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return ReplayFile(**values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a topic must be a name, got {value!r}")
    return value


def _finite(value: Any) -> float:
    if isinstance(value, (bool, str)) or not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value!r}")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, got {value!r}")
    return value


def _camera_model(
    width: int, height: int, k: list[float], d: list[float], distortion_model: str = "plumb_bob"
) -> Any:
    if len(k) != 9:
        raise ValueError(f"camera_model.k must be 9 numbers, got {len(k)}")
    return SimpleNamespace(
        width=_whole(width),
        height=_whole(height),
        k=np.array([_finite(value) for value in k]),
        d=np.array([_finite(value) for value in d], np.float64),
        distortion_model=str(distortion_model),
    )
