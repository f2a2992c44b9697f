"""Random streams: each its own, whatever the others draw."""

import numpy as np
import pytest

from liquid_nav_sim.normals import Normals
from liquid_nav_sim.streams import FIRST_STREAMS, Streams

SONAR = [1649401522, 1119046002, 1512029418]
"""The first numbers of a stream that came later, at seed 7."""

NAMES = (*FIRST_STREAMS, "front_range_finder", "front_range_finder_clock", "sonar", "")


def test_a_stream_depends_on_the_seed_and_its_name_alone() -> None:
    first, again, other = Streams(5), Streams(5), Streams(6)
    again["scene"].random(1000)
    heads = {name: first[name].random() for name in NAMES}
    assert len(set(heads.values())) == len(NAMES)
    assert {name: again[name].random() for name in reversed(NAMES) if name != "scene"} == {
        name: head for name, head in heads.items() if name != "scene"
    }
    assert all(other[name].random() != head for name, head in heads.items())


def test_the_first_streams_draw_what_they_drew_in_the_first_flights() -> None:
    """They are the children of the seed, by their number."""
    children = np.random.SeedSequence(7).spawn(len(FIRST_STREAMS))
    for name, child in zip(FIRST_STREAMS, children, strict=True):
        assert Streams(7)[name].random() == np.random.default_rng(child).random()


def test_a_new_name_draws_the_same_in_every_process() -> None:
    assert Streams(7)["sonar"].integers(2**32, size=3).tolist() == SONAR
    assert Streams(7)["sonar"] is not Streams(7)["sonar"]


@pytest.mark.parametrize("most", [1, 7, 256])
def test_normals_are_those_drawn_row_by_row(most: int) -> None:
    normals, plain = Normals(np.random.default_rng(3), 5, most), np.random.default_rng(3)
    for _ in range(600):
        assert normals.row() == plain.standard_normal(5).tolist()
