"""The topics of recordings, as parameters of the controller that listens to them."""

import pytest

from liquid_nav.bags.records import Topic
from liquid_nav.recording.topics import controller_parameters

IMU, PX4_IMU = "sensor_msgs/msg/Imu", "px4_msgs/msg/SensorCombined"
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, ODOMETRY = "sensor_msgs/msg/CameraInfo", "nav_msgs/msg/Odometry"
COMMAND = {"/liquid_nav/command": "geometry_msgs/msg/TwistStamped"}


def parameters(types: dict[str, str]) -> dict[str, str]:
    return controller_parameters({name: Topic(name, kind) for name, kind in types.items()})


def test_a_recording_of_ours_names_its_topics_whatever_else_is_in_it() -> None:
    ours = {"/imu/data_raw": IMU, "/odom": ODOMETRY, "/other/imu": IMU, "/goal_pose": "x/msg/Y"}
    assert parameters(COMMAND | ours | {"/goal_pose": "geometry_msgs/msg/PoseStamped"}) == {
        "topics.imu": "/imu/data_raw",
        "imu_type": IMU,
        "topics.odometry": "/odom",
        "odometry_type": ODOMETRY,
        "topics.goal": "/goal_pose",
    }


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({"/imu0": IMU}, {"topics.imu": "/imu0", "imu_type": IMU}),
        (
            {"/fmu/out/sensor_combined": PX4_IMU},
            {"topics.imu": "/fmu/out/sensor_combined", "imu_type": PX4_IMU},
        ),
        # The parameter file says which of several it is.
        ({"/left/imu": IMU, "/right/imu": IMU}, {}),
        ({"/ground_truth/odom": ODOMETRY}, {}),
        (
            {"/cam/front/image": IMAGE, "/cam/camera_info": INFO, "/other/camera_info": INFO},
            {
                "topics.image": "/cam/front/image",
                "image_transport": "raw",
                "topics.camera_info": "/cam/camera_info",
            },
        ),
        (
            {"/cam/image_raw/compressed": COMPRESSED},
            {"topics.image": "/cam/image_raw", "image_transport": "compressed"},
        ),
        (
            {"/cam/image_raw/compressed": COMPRESSED, "/cam/image_raw": IMAGE},
            {"topics.image": "/cam/image_raw", "image_transport": "raw"},
        ),
        # The node adds /compressed to the name of the topic.
        ({"/cam/jpeg": COMPRESSED}, {}),
        ({"/chatter": "std_msgs/msg/String"}, {}),
    ],
)
def test_the_only_topic_of_a_channel_is_taken(
    types: dict[str, str], expected: dict[str, str]
) -> None:
    assert parameters(types) == expected
