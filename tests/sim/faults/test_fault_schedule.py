"""Faults by chance and by script: drawn as configured, read as written, and every typo named."""

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.events import SECOND
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.effects import EFFECTS
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.faults.schedule import RandomFaults, faults_of, read_faults, script_of
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.world import World

SCRIPT = """
# The camera freezes, then a rotor weakens.
[[fault]]
kind = "camera_freeze"
start = 2
duration = 1.5

[[fault]]
kind = "motor_loss"
start = 4.25
magnitude = 0.3
rotor = 2

[[fault]]
kind = "wind_step"
start = 5.0
magnitude = 6.0
direction = [0, 1, 0.5]
"""


def test_a_script_says_what_breaks(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(SCRIPT)
    expected = (
        Fault("camera_freeze", 2 * SECOND, 1.5),
        Fault("motor_loss", 4_250_000_000, magnitude=0.3, rotor=2),
        Fault("wind_step", 5 * SECOND, magnitude=6.0, direction=(0, 1, 0.5)),
    )
    assert read_faults(file) == read_faults(str(file)) == expected
    file.write_text("")
    assert read_faults(file) == ()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"camera_freeze"',
            '"camera_freze"',
            "fault 1: unknown kind 'camera_freze', did you mean 'camera_freeze'",
        ),
        ('"camera_freeze"', '"goblin"', "fault 1: unknown kind 'goblin', choose from camera_drop"),
        ('"camera_freeze"', "3", "fault 1: unknown kind 3, choose from"),
        (
            "duration = 1.5",
            "durations = 1.5",
            "fault 1: unknown field 'durations', did you mean 'duration'",
        ),
        ("duration = 1.5", 'duration = "1.5"', "fault 1: duration must be a number, got '1.5'"),
        ("duration = 1.5", "duration = -1", "fault 1: Fault.duration must be finite"),
        ("start = 4.25\n", "", "fault 2: field start is missing"),
        (
            "start = 4.25",
            "start = nan",
            "fault 2: start must be finite and at least 0 s, and below 1e9 s, got nan",
        ),
        ("start = 4.25", "start = true", "fault 2: start must be a number, got True"),
        (
            "magnitude = 0.3",
            "magnitude = 1.3",
            r"fault 2: Fault.magnitude of motor_loss must be in",
        ),
        ("rotor = 2", "rotor = 4", "fault 2: Fault.rotor must be 0, 1, 2 or 3, got 4"),
        ("[0, 1, 0.5]", "[0, 1]", r"fault 3: direction must be three numbers, got \[0, 1\]"),
        ("[0, 1, 0.5]", "[0, 0, 0]", "fault 3: Fault.direction must be three finite"),
        ('[[fault]]\nkind = "wind', '[[faults]]\nkind = "wind', "unknown table faults"),
        ("start = 2", "start 2", "not TOML: .*line 5"),
    ],
)
def test_a_typo_is_one_error_that_names_file_fault_and_field(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in SCRIPT
    file = tmp_path / "faults.toml"
    file.write_text(SCRIPT.replace(old, new))
    with pytest.raises(SimulationError, match=f"^faults .*faults.toml: {says}"):
        read_faults(file)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="No such file"):
        read_faults(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SimulationError, match="not a text in UTF-8"):
        read_faults(tmp_path / "bytes.toml")
    (tmp_path / "one.toml").write_text("fault = 3")
    with pytest.raises(SimulationError, match="must be a table"):
        read_faults(tmp_path / "one.toml")


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.dictionaries(
                st.sampled_from(["kind", "start", "duration", "magnitude", "rotor", "direction"]),
                st.one_of(
                    st.none(),
                    st.booleans(),
                    st.integers(),
                    st.floats(),
                    st.sampled_from(list(EFFECTS)),
                    st.lists(st.floats(), max_size=4),
                ),
            ),
            st.integers(),
        ),
        max_size=3,
    )
)
def test_any_script_makes_faults_or_one_error(entries: list[Any]) -> None:
    error = None
    try:
        faults = faults_of(entries)
    except SimulationError as raised:
        error = str(raised)
    assert error.startswith("fault ") if error is not None else len(faults) == len(entries)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_what_was_drawn_is_read_back_as_it_was_written(seed: int) -> None:
    faults = RandomFaults(rate=1.0).draw(np.random.default_rng(seed), 20.0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "drawn.toml"
        file.write_text(script_of(faults))
        assert read_faults(file) == faults


# By chance


def test_chance_has_its_rate_and_its_ranges() -> None:
    plan = RandomFaults(rate=0.5, shortest=0.3, longest=3.0)
    flights = [plan.draw(np.random.default_rng(seed), 20.0) for seed in range(1000)]
    counts = np.array([len(faults) for faults in flights])
    assert counts.mean() == pytest.approx(10, abs=4 * (10 / 1000) ** 0.5)
    assert counts.var() == pytest.approx(10, rel=0.2)
    faults = [fault for flight in flights for fault in flight]
    starts = np.array([fault.start for fault in faults]) / SECOND
    assert starts.mean() == pytest.approx(10, abs=4 * 20 / 12**0.5 / len(starts) ** 0.5)
    assert starts.max() < 20
    durations = np.array([fault.duration for fault in faults])
    assert 0.3 <= durations.min() < 0.31
    assert 2.99 < durations.max() <= 3.0
    kinds = Counter(fault.kind for fault in faults)
    expected = len(faults) / len(EFFECTS)
    assert set(kinds) == set(EFFECTS)
    assert max(abs(count - expected) for count in kinds.values()) < 5 * expected**0.5
    for fault in faults:
        magnitude = EFFECTS[fault.kind].magnitude
        low, high = (0, 0) if magnitude is None else magnitude.drawn
        assert low <= fault.magnitude <= high
    for flight in flights:
        assert [fault.start for fault in flight] == sorted(fault.start for fault in flight)


def test_every_kind_may_be_drawn_as_it_is_bounded() -> None:
    bounded = {kind: e.magnitude for kind, e in EFFECTS.items() if e.magnitude is not None}
    for kind, (low, high, _, drawn) in bounded.items():
        assert low <= drawn[0] < drawn[1] <= high
        for magnitude in drawn:
            Fault(kind, 0, magnitude=magnitude)


def test_a_world_draws_them_by_its_seed_and_keeps_the_record() -> None:
    config = WorldConfig().with_sensor("camera", model=CameraModel(width=4, height=3))
    script = (Fault("imu_bias", SECOND, 1.0, 0.1),)
    world = World(replace(config, faults=script, random_faults=RandomFaults(rate=0.5)))
    records = []
    for seed in (1, 2, 1):
        world.reset(seed)
        records.append(world.faults)
    assert records[0] == records[2] != records[1]
    assert records[0][:1] == records[1][:1] == script
    assert len(records[0]) > 2
    injected = Fault("imu_drop", 0)
    world.inject(injected)
    assert world.faults == (*records[2], injected)
    world.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", -0.1),
        ("rate", float("nan")),
        ("kinds", ()),
        ("kinds", ("goblin",)),
        ("shortest", 0.0),
        ("shortest", 5.0),
        ("longest", float("inf")),
    ],
)
def test_a_bad_distribution_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=f"RandomFaults.*{name}"):
        RandomFaults(**{name: value})


def test_a_world_refuses_what_is_no_fault() -> None:
    with pytest.raises(SimulationError, match=r"WorldConfig\.faults must be Faults"):
        WorldConfig(faults=("camera_drop",))  # type: ignore[arg-type]
