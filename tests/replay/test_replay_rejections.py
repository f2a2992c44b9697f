"""Why measurements of a recorded flight were not used, and how many for each reason."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from liquid_nav.bags.bag import Recording
from liquid_nav.events import Event, ImuSample
from liquid_nav.onboard import Policy
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.replay.run import replay
from liquid_nav.replay.topics import Topics, find
from replay.replay_support import events


def test_samples_that_are_no_numbers_are_counted_with_the_reason(
    flow_policy: Policy, tmp_path: Path
) -> None:
    nan, far = np.array([0.0, np.nan, 9.8]), np.array([1e6, 0.0, 9.8])
    flight: list[Event] = []
    for number, event in enumerate(e for e in events(1.0) if isinstance(e, ImuSample)):
        force = {3: nan, 7: far}.get(number % 10)
        flight.append(event if force is None else replace(event, specific_force=force))
    with FlightRecorder(tmp_path / "a.mcap", flow_policy.config.camera) as recorder:
        for event in flight:
            recorder.event(event)
    with Recording(tmp_path / "a.mcap") as recording:
        result = replay(recording, find(recording.topics, Topics(), False), flow_policy)
    counted = [note for note in result.notes if note.startswith("imu: 20 rejected: ")]
    assert len(counted) == 2
    assert any("not finite" in note for note in counted)
