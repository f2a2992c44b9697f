"""A pitot tube flies in the simulator: measured, observed, broken, and configured by options."""

from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest

from liquid_nav.command import Command
from liquid_nav.events import SECOND, Event
from liquid_nav_sim.config import WorldConfig, fit
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.world import World
from plugin_support import plugged


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = tmp_path_factory.mktemp("site")
    with plugged("encoder_airspeed", site), plugged("sensor_airspeed", site):
        yield


def fly(config: WorldConfig, seconds: float = 2.0) -> dict[str, list[Event]]:
    """Events of a flight straight ahead at 3 m/s, by sensor."""
    world = World(config)
    world.reset(3)
    world.command(Command(0, 3.0))
    events: dict[str, list[Event]] = {}
    while (event := world.next_event(round(seconds * SECOND))) is not None:
        events.setdefault(world.sensor_of(event), []).append(event)
    world.close()
    return events


def test_it_measures_and_leaves_the_other_sensors_as_they_are() -> None:
    config = WorldConfig().without("camera")
    events = fly(config.with_sensor("pitot"))
    speeds = [event.speed for event in events["pitot"]]
    assert len(speeds) > 95
    assert abs(speeds[0]) < 1.0 < 2.0 < np.mean(speeds[-20:]) < 4.0
    alone = fly(config)["imu"]
    assert [e.specific_force.tolist() for e in events["imu"]] == [
        e.specific_force.tolist() for e in alone
    ]


def test_it_breaks_as_any_sensor_does_and_in_its_own_way() -> None:
    config = WorldConfig().without("camera").with_sensor("pitot")
    for kind, expected in (
        ("airspeed_drop", None),
        ("airspeed_nan", np.nan),
        ("airspeed_blocked", 0.0),
    ):
        events = fly(WorldConfig(sensors=config.sensors, faults=(Fault(kind, SECOND),)))
        late = [event.speed for event in events["pitot"] if event.stamp >= SECOND]
        assert late == [] if expected is None else len(late) > 40
        np.testing.assert_array_equal(late, [expected] * len(late))
    with pytest.raises(SimulationError, match="breaks no sensor"):
        WorldConfig(faults=(Fault("sonar_drop", 0),))


def test_options_and_gymnasium_know_it() -> None:
    pitot = fit("nose", WorldConfig().vehicle, {"noise": 0, "rate": 100}, kind="pitot")
    assert (pitot.model.noise, pitot.timing.rate) == (0.0, 100.0)
    config = WorldConfig(sensors=(pitot,))
    env = gymnasium.make("liquid_nav_sim.gym:liquid_nav/Target-v0", config=config)
    env.reset(seed=0)
    for _ in range(30):
        observation, *_ = env.step(np.array([1.0, 0.0, 0.0, 0.0], np.float32))
        assert observation in env.observation_space
    assert set(observation) == {"nose", "nose_age"}
    assert observation["nose"][0] > 0.5
    env.close()
