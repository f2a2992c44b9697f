"""Rotations against scipy's, and the laws between them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liquid_nav.rotations import (
    IDENTITY,
    compose,
    from_matrix,
    from_vector,
    inverse,
    rotate,
    to_matrix,
    yaw_of,
)

rotations = st.integers(0, 2**32 - 1).map(lambda seed: Rotation.random(random_state=seed))
vectors = st.tuples(*[st.floats(-5, 5)] * 3)


@settings(deadline=None)
@given(rotations, rotations, vectors)
def test_rotations_agree_with_those_of_scipy(a: Rotation, b: Rotation, v: tuple[float]) -> None:
    q, p = a.as_quat().tolist(), b.as_quat().tolist()
    np.testing.assert_allclose(to_matrix(q), a.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rotate(q, v), a.apply(v), atol=1e-12)
    np.testing.assert_allclose(rotate(inverse(q), v), a.inv().apply(v), atol=1e-12)
    np.testing.assert_allclose(to_matrix(compose(q, p)), (a * b).as_matrix(), atol=1e-12)


@settings(deadline=None)
@given(rotations | st.sampled_from(np.eye(4).tolist()).map(Rotation.from_quat))
def test_a_matrix_and_its_quaternion_are_one_rotation(rotation: Rotation) -> None:
    quaternion = from_matrix(rotation.as_matrix())
    np.testing.assert_allclose(to_matrix(quaternion), rotation.as_matrix(), atol=1e-12)
    assert math.hypot(*quaternion) == pytest.approx(1, abs=1e-12)


@given(vectors)
def test_a_rotation_vector_is_axis_times_angle(vector: tuple[float, float, float]) -> None:
    expected = Rotation.from_rotvec(vector).as_matrix()
    np.testing.assert_allclose(to_matrix(from_vector(vector)), expected, atol=1e-12)


def test_a_rotation_vector_of_zero_changes_nothing() -> None:
    assert from_vector((0.0, 0.0, 0.0)) == IDENTITY


@given(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3))
def test_the_heading_is_that_of_the_nose(yaw: float, pitch: float, roll: float) -> None:
    orientation = Rotation.from_euler("ZYX", (yaw, pitch, roll)).as_quat()
    assert yaw_of(orientation) == pytest.approx(yaw, abs=1e-9)
