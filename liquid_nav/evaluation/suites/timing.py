"""Suite of the timing of the sensors: losses, latency, jitter, rates and order."""

from dataclasses import replace
from typing import Any

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.events import Channel
from liquid_nav_sim.config import WorldConfig


def timing(base: WorldConfig) -> list[Cell]:
    """Clocks and links of camera and IMU from good to bad."""
    return [
        *(
            Cell(f"{drop:.0%} of frames lost", _timed(base, Channel.CAMERA, drop=drop))
            for drop in (0.0, 0.2, 0.5, 0.8)
        ),
        Cell(
            "50% of frames lost, 6 in a row",
            _timed(base, Channel.CAMERA, drop=0.5, burst=6.0),
        ),
        *(
            Cell(f"frames +{1e3 * late:.0f} ms", _timed(base, Channel.CAMERA, late=late))
            for late in (0.03, 0.06, 0.1, 0.15)
        ),
        Cell(
            "frames jitter by 30 ms",
            _timed(base, Channel.CAMERA, jitter=0.01, latency_jitter=0.03),
        ),
        *(
            Cell(f"{rate} frames/s", _timed(base, Channel.CAMERA, rate=float(rate)))
            for rate in (10, 15, 60)
        ),
        Cell("30% of frames out of order", _timed(base, Channel.CAMERA, overtaken=0.3)),
        *(
            Cell(f"IMU at {rate} Hz", _timed(base, Channel.IMU, rate=float(rate)))
            for rate in (50, 100, 500, 1000)
        ),
        Cell("50% of IMU samples lost", _timed(base, Channel.IMU, drop=0.5)),
        Cell(
            "IMU jitters by 10 ms",
            _timed(base, Channel.IMU, jitter=0.002, latency_jitter=0.01),
        ),
        Cell("30% of IMU samples out of order", _timed(base, Channel.IMU, overtaken=0.3)),
    ]


def _timed(base: WorldConfig, channel: Channel, late: float = 0.0, **changes: Any) -> WorldConfig:
    """Change the timing of the sensors of a channel; `late` is added to their latency, seconds."""
    config = base
    for sensor in base.sensors:
        if sensor.model.channel is channel:
            old = sensor.timing
            new = replace(old, latency=old.latency + late, **changes)
            config = config.with_sensor(sensor.name, timing=new)
    return config
