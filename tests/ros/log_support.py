"""Replays flights that a node recorded, and compares the commands with those it sent."""

from pathlib import Path

from liquid_nav.bags.bag import Recording
from liquid_nav.onboard import load_policy
from liquid_nav.replay.calibration import find_camera_info
from liquid_nav.replay.run import Replay, replay
from liquid_nav.replay.topics import Topics, find


def replayed(path: Path, bundle: Path) -> Replay:
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=True)
        info = find_camera_info(recording, topics)
        return replay(recording, topics, load_policy(bundle)[0], camera_info=info)


def identical(result: Replay) -> bool:
    """Whether all commands equal those that were sent, but the zero command at the node's end."""
    assert result.comparison is not None
    sent, commands = result.comparison.reference, result.comparison.commands
    assert len(sent) > 50
    return sent[:-1].tobytes() == commands[:-1].tobytes() and not sent[-1].any()
