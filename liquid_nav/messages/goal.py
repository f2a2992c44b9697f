"""The channel `goal` as ``geometry_msgs/PoseStamped``."""

from typing import Any

from liquid_nav.events import Channel, Goal
from liquid_nav.messages.decode import MessageError, stamp_at, vector_of
from liquid_nav.messages.fields import WORLD, Fields, header, plain_frame, pose
from liquid_nav.messages.plug import SensorSetup, WritableMessage
from liquid_nav.rotations import IDENTITY


class GoalMessage(WritableMessage):
    """The position of a pose, metres, in the world frame of the odometry."""

    channel = Channel.GOAL
    type = "geometry_msgs/msg/PoseStamped"
    topic = "/goal_pose"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> Goal:
        """Make an event of a message.

        Raises:
            MessageError: on a time out of range, or a goal in another frame than `setup` requires.

        """
        stamp, frame = stamp_at(message, arrival), message.header.frame_id
        if setup.goal_frame and plain_frame(frame) != plain_frame(setup.goal_frame):
            raise MessageError(
                f"goal is in frame {frame[:64]!r}, the odometry is in {setup.goal_frame!r}"
            )
        return Goal(stamp, arrival, vector_of(message.pose.position))

    def encode(self, event: Goal) -> Fields:
        """Give the fields: a pose in `WORLD`."""
        return {
            "header": header(event.stamp, WORLD),
            "pose": pose(event.position.tolist(), IDENTITY),
        }
