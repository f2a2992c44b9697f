"""The conditions of training flights lie around, and wider than, those of evaluation."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_nav.learning.flying.conditions import randomised
from liquid_nav_sim.config import WorldConfig

READINGS = {
    "camera rate": lambda c: c.sensor("camera").timing.rate,
    "camera latency": lambda c: c.sensor("camera").timing.latency,
    "camera jitter": lambda c: c.sensor("camera").timing.latency_jitter,
    "camera drops": lambda c: c.sensor("camera").timing.drop,
    "field of view": lambda c: c.sensor("camera").model.horizontal_fov,
    "camera pitch": lambda c: c.sensor("camera").model.mount_pitch,
    "camera roll": lambda c: c.sensor("camera").model.mount_roll,
    "camera noise": lambda c: c.sensor("camera").model.noise_sigma,
    "IMU rate": lambda c: c.sensor("imu").timing.rate,
    "IMU drops": lambda c: c.sensor("imu").timing.drop,
    "gusts": lambda c: c.wind.gust,
}


@pytest.fixture(scope="module")
def drawn() -> list[WorldConfig]:
    return [randomised(WorldConfig(), np.random.default_rng(seed)) for seed in range(300)]


@pytest.mark.parametrize("read", READINGS.values(), ids=READINGS.keys())
def test_they_contain_those_of_evaluation(
    drawn: list[WorldConfig], read: Callable[[WorldConfig], float]
) -> None:
    values = [read(config) for config in drawn]
    assert min(values) < read(WorldConfig()) < max(values)
    assert len(set(values)) > 100


def test_the_wind_is_never_weaker_than_that_of_evaluation(drawn: list[WorldConfig]) -> None:
    steady = [config.wind.steady for config in drawn]
    assert min(steady) >= WorldConfig().wind.steady
    assert max(steady) > 4 * WorldConfig().wind.steady


def test_they_are_drawn_from_the_generator_alone() -> None:
    one, same, other = (randomised(WorldConfig(), np.random.default_rng(k)) for k in (1, 1, 2))
    assert one == same != other


def test_looks_are_those_asked_for(drawn: list[WorldConfig], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "meadow.png"), np.full((200, 200, 3), 90, np.uint8))
    mine = f"varied:{tmp_path}"
    looks = [c.appearance for c in drawn[:50]]
    assert {*looks} == {"varied", WorldConfig().appearance}
    for seed, look in enumerate(looks):
        config = randomised(WorldConfig(), np.random.default_rng(seed), mine)
        assert config.appearance == (mine if look == "varied" else look)


def test_the_task_stays(drawn: list[WorldConfig]) -> None:
    assert {config.task for config in drawn} == {WorldConfig().task}
