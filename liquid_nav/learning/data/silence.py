"""Flights as they would have been if an optional channel had fallen silent.

A policy learns to fly with and without a channel from the same flights. In flight an optional
channel expires, see `liquid_nav.onboard.inference`; here each expiry is one more event of the
channel, with zeros in place of a measurement.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND, Channel
from liquid_nav.learning.data.episodes import Episode
from liquid_nav.onboard.encoders import Encoder

NEVER_THERE, FALLS_SILENT = 0.35, 0.25
"""Shares of the flights in which a channel never comes, and in which it ends on the way."""


class Heard(NamedTuple):
    """A flight with expiries.

    Attributes:
        episode: the flight; an expiry is an event whose measurement does not count.
        present: bool (T,), False where the features of an event are zeros instead.

    """

    episode: Episode
    present: NDArray[np.bool_]


def with_silences(
    episode: Episode, optional: Sequence[Encoder], rng: np.random.Generator | None
) -> Heard:
    """Let optional channels expire, and fall silent at random.

    Args:
        episode: the flight.
        optional: encoders of the optional channels.
        rng: draws when a channel falls silent; None if none does.

    """
    heard = Heard(episode, np.ones(len(episode), bool))
    for encoder in optional:
        share = 1.0 if rng is None else rng.random()
        begin = np.inf
        if share < NEVER_THERE:
            begin = 0.0
        elif rng is not None and share < NEVER_THERE + FALLS_SILENT:
            begin = rng.uniform(0.0, float(episode.dt.sum(dtype=np.float64)))
        staleness = encoder.staleness
        hover = np.inf if staleness is None else staleness.hover
        heard = _expiring(_silent_from(heard, encoder.channel, begin), encoder.channel, hover)
    return heard


def _silent_from(heard: Heard, channel: Channel, begin: float) -> Heard:
    """Leave out the measurements of a channel from `begin` s on."""
    episode, present = heard
    time, own = _time(episode), _own(episode, channel)
    kept = ~(own & (time >= begin))
    if kept.all():
        return heard
    measured = {**episode.measured, channel: episode.measured[channel][kept[own]]}
    return Heard(_taken(episode, time, np.flatnonzero(kept), measured), present[kept])


def _expiring(heard: Heard, channel: Channel, hover: float) -> Heard:
    """Insert the expiries of a channel, whose measurements last for `hover` s from their stamps."""
    episode, present = heard
    time, rows = _time(episode), np.flatnonzero(_own(episode, channel))
    if not len(rows) or np.isinf(hover):
        return heard
    # As in flight, where times are whole nanoseconds.
    expiry = np.maximum.accumulate(time[rows] - episode.age[rows]) + hover + 1 / SECOND
    late = expiry <= time[rows]
    present = present.copy()
    present[rows[late]] = False
    until = np.append(time[rows[1:]], time[-1])
    ends = np.flatnonzero(~late & (expiry <= until))
    if not len(ends):
        return Heard(episode, present)
    # An expiry comes before what arrives at the same instant.
    places = np.searchsorted(time, expiry[ends], side="left")
    order = np.insert(np.arange(len(time)), places, places - 1)
    moment = np.insert(time, places, expiry[ends])
    inserted = np.insert(np.zeros(len(time), bool), places, True)
    rest = episode.measured[channel]
    measured = {
        **episode.measured,
        channel: np.insert(rest, ends + 1, np.zeros_like(rest[:1]), axis=0),
    }
    # The label in force stays; the rows of frames do not change.
    longer = _taken(episode, moment, order, measured)
    longer.channel[inserted] = episode.channels.index(channel)
    longer.age[inserted] = 0.0
    return Heard(longer, np.insert(present, places, False))


def _time(episode: Episode) -> NDArray[np.float64]:
    """Seconds from the first event to each event."""
    return np.cumsum(episode.dt, dtype=np.float64) - float(episode.dt[0])


def _own(episode: Episode, channel: Channel) -> NDArray[np.bool_]:
    own: NDArray[np.bool_] = episode.channel == episode.channels.index(channel)
    return own


def _taken(
    episode: Episode,
    time: NDArray[np.float64],
    order: NDArray[np.intp],
    measured: dict[Channel, NDArray[Any]],
) -> Episode:
    """Return the events `order` of an episode, which come at `time` where that is as long."""
    moment = time if len(time) == len(order) else time[order]
    return replace(
        episode,
        channel=episode.channel[order],
        dt=np.diff(moment, prepend=moment[0]).astype(np.float32),
        age=episode.age[order],
        label=episode.label[order],
        seen=episode.seen[order],
        measured=measured,
    )
