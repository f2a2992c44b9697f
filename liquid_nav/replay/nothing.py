"""Why nothing of a needed channel was replayed, and which option of the command line mends it."""

from collections.abc import Collection

from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND, Channel
from liquid_nav.replay.run import Replay
from liquid_nav.replay.timeline import Cut
from liquid_nav.replay.topics import NONE, option_of

_BY_STAMP = "--clock stamp takes the times of arrival from the stamps"

_REMEDIES = {
    "stamp is": _BY_STAMP,
    "another aspect ratio": (
        "give the camera's calibration: by --camera-info TOPIC, or as camera_model in a file for "
        "--config"
    ),
    "its camera_info says": (
        "choose the calibration of these images by --camera-info TOPIC, or leave it out by "
        f"--camera-info {NONE}"
    ),
}
"""What mends a refusal, by some words of its reason."""


def check_replayed(
    result: Replay, needed: Collection[Channel], cut: Cut, span: tuple[int, int]
) -> None:
    """Check that each needed channel that has a topic gave the controller something to fly by.

    A channel without a topic was left out by the user, or the recording has none: the replay says
    so in a note.

    Args:
        result: the replay.
        needed: channels that the policy does not fly without.
        cut: part of the recording that was replayed.
        span: log times of the first message and the last, ns, as the recording declares them.

    Raises:
        ReplayError: when one did not; it says why, and what mends it.

    """
    length = (span[1] - span[0]) / SECOND
    if cut.start and not result.events and 0 <= length <= cut.start:
        raise ReplayError(
            f"nothing was replayed: --start {cut.start:g} is at or beyond the end, as the "
            f"recording lasts {length:.3f} s"
        )
    topics = result.topics.channels
    chosen = sorted(
        channel for channel in topics if topics[channel] is not None and channel not in cut.drop
    )
    silent = [channel for channel in chosen if channel in needed and not _usable(result, channel)]
    if silent:
        causes = "; ".join(_cause(result, channel, cut) for channel in silent)
        raise ReplayError(f"the model needs what was not replayed: {causes}")
    if not result.events:
        causes = "; ".join(_cause(result, channel, cut) for channel in chosen)
        raise ReplayError(f"nothing was replayed: {causes}")


def _usable(result: Replay, channel: Channel) -> bool:
    figures = result.channels.get(channel)
    return figures is not None and figures.events > figures.rejected


def _cause(result: Replay, channel: Channel, cut: Cut) -> str:
    """Say in a line why nothing of a channel reached the policy, and what mends it."""
    topic, figures = result.topics.channels[channel] or "", result.channels.get(channel)
    option = option_of(channel.value)
    mends = f"choose another topic by {option} TOPIC, or leave the channel out by {option} {NONE}"
    if figures is not None and figures.refused:
        reason = max(figures.refused, key=lambda reason: figures.refused[reason])
        why = f"{figures.refusals} messages were refused, the most because: {reason}"
        mends = _remedy(reason, cut) or mends
    elif figures is not None and figures.events:
        reasons = ", ".join(figures.rejections)
        why = f"all {figures.events} measurements were rejected: {reasons}"
    elif undecodable := result.damage.undecodable[topic]:
        why = f"none of {undecodable} messages could be decoded"
    elif cut.start or cut.duration is not None:
        why, mends = "no message in this part", "choose another part by --start and --duration"
    else:
        why = "no message"
        if result.damage.lost:
            why += f" left of a damaged recording: {'; '.join(result.damage.notes[:3])}"
    return f"{channel.value} ({topic}): {why}; {mends}"


def _remedy(reason: str, cut: Cut) -> str | None:
    found = [mends for words, mends in _REMEDIES.items() if words in reason]
    # By stamps no message is early or late: another remedy is needed.
    return found[0] if found and not (found[0] == _BY_STAMP and cut.clock == "stamp") else None
