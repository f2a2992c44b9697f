"""Rotations by static transforms: chains, rings, gaps, and wrong quaternions."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.transforms import ImuMounting, StaticTransforms, rotation_of

rotations = st.integers(0, 2**32 - 1).map(lambda seed: Rotation.random(random_state=seed))


def link(parent: str, child: str, quaternion: tuple[float, ...]) -> SimpleNamespace:
    x, y, z, w = quaternion
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=parent),
        child_frame_id=child,
        transform=SimpleNamespace(rotation=SimpleNamespace(x=x, y=y, z=z, w=w)),
    )


def tree(*links: SimpleNamespace) -> StaticTransforms:
    transforms = StaticTransforms()
    for one in links:
        transforms.add(SimpleNamespace(transforms=[one]))
    return transforms


@settings(deadline=None)
@given(rotations)
def test_a_quaternion_is_the_rotation_that_scipy_has(rotation: Rotation) -> None:
    np.testing.assert_allclose(rotation_of(rotation.as_quat()), rotation.as_matrix(), atol=1e-12)


@settings(deadline=None)
@given(rotations, rotations, rotations)
def test_a_chain_multiplies_and_its_way_back_is_the_inverse(
    mount: Rotation, arm: Rotation, sensor: Rotation
) -> None:
    """Body above the arm above the IMU, and a camera beside them."""
    transforms = tree(
        link("base_link", "arm", tuple(mount.as_quat())),
        link("arm", "imu", tuple(arm.as_quat())),
        link("base_link", "camera", tuple(sensor.as_quat())),
    )
    body_from_imu = (mount * arm).as_matrix()
    np.testing.assert_allclose(transforms.rotation("imu", "base_link"), body_from_imu, atol=1e-9)
    np.testing.assert_allclose(transforms.rotation("base_link", "imu"), body_from_imu.T, atol=1e-9)
    camera_from_imu = sensor.as_matrix().T @ body_from_imu
    np.testing.assert_allclose(transforms.rotation("imu", "camera"), camera_from_imu, atol=1e-9)


def test_a_frame_is_not_turned_into_itself() -> None:
    np.testing.assert_array_equal(StaticTransforms().rotation("imu", "imu"), np.eye(3))


def test_what_is_not_joined_is_refused_until_it_is() -> None:
    transforms = tree(link("arm", "imu", (0, 0, 0, 1)))
    with pytest.raises(MessageError, match="no static transform joins frame 'imu' to 'base_link'"):
        transforms.rotation("imu", "base_link")
    half = math.sqrt(0.5)
    transforms.add(SimpleNamespace(transforms=[link("base_link", "arm", (0, 0, half, half))]))
    np.testing.assert_allclose(
        transforms.rotation("imu", "base_link") @ [1, 0, 0], [0, 1, 0], atol=1e-12
    )


def test_a_newer_transform_replaces_the_old_one() -> None:
    transforms = tree(link("base_link", "imu", (0, 0, 0, 1)))
    np.testing.assert_array_equal(transforms.rotation("imu", "base_link"), np.eye(3))
    transforms.add(SimpleNamespace(transforms=[link("base_link", "imu", (1, 0, 0, 0))]))
    expected = np.diag([1.0, -1.0, -1.0])
    np.testing.assert_allclose(transforms.rotation("imu", "base_link"), expected, atol=1e-12)


def test_a_ring_is_refused() -> None:
    transforms = tree(link("a", "b", (0, 0, 0, 1)), link("b", "a", (0, 0, 0, 1)))
    with pytest.raises(MessageError, match="ring"):
        transforms.rotation("a", "base_link")


@pytest.mark.parametrize("wrong", [(0, 0, 0, 0), (0, 0, 0, 2), (math.nan, 0, 0, 1)])
def test_a_wrong_quaternion_is_refused_and_the_others_are_taken(wrong: tuple[float, ...]) -> None:
    transforms = StaticTransforms()
    links = [link("base_link", "bad", wrong), link("base_link", "imu", (1, 0, 0, 0))]
    with pytest.raises(MessageError, match="unit quaternion"):
        transforms.add(SimpleNamespace(transforms=links))
    expected = np.diag([1.0, -1.0, -1.0])
    np.testing.assert_allclose(transforms.rotation("imu", "base_link"), expected, atol=1e-12)


TURN = Rotation.from_euler("zyx", [40, -20, 10], degrees=True)
HALF = Rotation.from_euler("x", 180, degrees=True)
LEVEL = (0.0, 0.0, 0.0, 1.0)


def quaternion(rotation: Rotation) -> tuple[float, ...]:
    return tuple(rotation.as_quat())


TREES = {
    "the IMU below the body": [link("base_link", "imu", quaternion(TURN))],
    "the body below the IMU": [link("imu", "base_link", quaternion(TURN.inv()))],
    "siblings": [
        link("base_footprint", "base_link", quaternion(HALF)),
        link("base_footprint", "imu", quaternion(HALF * TURN)),
    ],
    "slashes": [link("/base_link", "/imu", quaternion(TURN))],
    "a prefix": [link("drone1/base_link", "drone1/imu", quaternion(TURN))],
    "a prefix of the body alone": [link("drone1/base_link", "imu", quaternion(TURN))],
    "a prefix of the IMU alone": [link("base_link", "drone1/imu", quaternion(TURN))],
    "prefixes of two": [
        link("drone2/base_link", "drone2/imu", quaternion(HALF)),
        link("map", "drone2/base_link", LEVEL),
        link("map", "drone1/base_link", LEVEL),
        link("drone1/base_link", "drone1/imu", quaternion(TURN)),
    ],
}


@pytest.mark.parametrize("name", TREES)
def test_the_imu_is_found_in_any_tree_that_joins_it_to_the_body(name: str) -> None:
    frames = ["imu", "/imu"] if name != "prefixes of two" else []
    frames += ["drone1/imu", "/drone1/imu"] if "prefix" in name else []
    for frame in frames:
        for body in ("base_link", "/base_link"):
            found = tree(*TREES[name]).rotation(frame, body)
            np.testing.assert_allclose(found, TURN.as_matrix(), atol=1e-12, err_msg=frame)


def test_the_body_of_another_vehicle_is_not_ours() -> None:
    transforms = tree(*TREES["prefixes of two"])
    with pytest.raises(MessageError, match="several frames 'imu'"):
        transforms.rotation("imu", "base_link")
    found = transforms.rotation("imu", "drone2/base_link")
    np.testing.assert_allclose(found, HALF.as_matrix(), atol=1e-12)
    alike = tree(
        link("drone1/base_link", "drone1/imu", quaternion(TURN)),
        link("drone2/base_link", "drone2/imu", quaternion(TURN)),
    )
    np.testing.assert_allclose(alike.rotation("imu", "base_link"), TURN.as_matrix(), atol=1e-12)


def message(*links: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(transforms=list(links))


def test_a_mounting_follows_the_transforms_as_they_come() -> None:
    mounting = ImuMounting()
    assert mounting.rotation("imu") is None
    (warning,) = mounting.warnings
    assert "taken to be aligned" in warning
    assert "'imu' to 'base_link'" in warning
    mounting.add(message(link("base_link", "imu", quaternion(TURN))))
    np.testing.assert_allclose(mounting.rotation("imu"), TURN.as_matrix(), atol=1e-12)
    assert mounting.warnings == ()
    assert "by /tf_static" in mounting.words


@pytest.mark.parametrize("frame", ["base_link", "/base_link", "drone1/base_link", "imu"])
def test_an_aligned_imu_is_not_rotated(frame: str) -> None:
    """So that its numbers stay as they are, to the last bit."""
    mounting = ImuMounting()
    mounting.add(message(link("base_link", "imu", LEVEL)))
    assert mounting.rotation(frame) is None
    assert mounting.warnings == ()


def test_what_the_user_gives_goes_before_the_transforms() -> None:
    mounting = ImuMounting(HALF.as_matrix())
    mounting.add(message(link("base_link", "imu", quaternion(TURN))))
    for frame in ("imu", "", None):
        np.testing.assert_array_equal(mounting.rotation(frame), HALF.as_matrix())
    ignoring = ImuMounting(from_transforms=False)
    ignoring.add(message(link("base_link", "imu", quaternion(TURN))))
    assert ignoring.rotation("imu") is None
    assert ignoring.warnings == ()


def test_a_message_without_a_frame_is_in_that_of_the_body() -> None:
    mounting = ImuMounting()
    mounting.add(message(link("base_link", "imu", quaternion(TURN))))
    for frame in ("", None):
        assert mounting.rotation(frame) is None
    assert mounting.warnings == ()


def test_a_driver_that_names_another_frame_in_every_message_fills_no_memory() -> None:
    mounting = ImuMounting()
    for number in range(1000):
        assert mounting.rotation(f"imu_{number}") is None
    assert len(mounting._rotations) <= 64
    assert "imu_999" in mounting.warnings[0]
