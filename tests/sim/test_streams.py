"""Random streams: each its own, whatever the others draw."""

import numpy as np
import pytest

from liquid_nav_sim.normals import Normals
from liquid_nav_sim.streams import STREAMS, streams


def test_a_stream_depends_on_the_seed_and_its_name_alone() -> None:
    first, again, other = streams(5), streams(5), streams(6)
    again["scene"].random(1000)
    heads = {name: first[name].random() for name in STREAMS}
    assert len(set(heads.values())) == len(STREAMS)
    assert {name: again[name].random() for name in STREAMS if name != "scene"} == {
        name: head for name, head in heads.items() if name != "scene"
    }
    assert all(other[name].random() != head for name, head in heads.items())


def test_a_stream_that_is_added_leaves_the_others_as_they_are() -> None:
    """The children of a seed go by their number: the first flights drew these."""
    children = np.random.SeedSequence(7).spawn(6)
    known = ("scene", "wind", "imu", "imu_clock", "camera", "camera_clock")
    for name, child in zip(known, children, strict=True):
        assert streams(7)[name].random() == np.random.default_rng(child).random()


@pytest.mark.parametrize("most", [1, 7, 256])
def test_normals_are_those_drawn_row_by_row(most: int) -> None:
    normals, plain = Normals(np.random.default_rng(3), 5, most), np.random.default_rng(3)
    for _ in range(600):
        assert normals.row() == plain.standard_normal(5).tolist()
