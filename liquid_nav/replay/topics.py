"""Which topics of a recording are the flight: found by type, or chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from liquid_nav.bags.records import Topic
from liquid_nav.errors import ReplayError
from liquid_nav.recording.recorder import OPERATOR_STOP, SETTINGS

NONE = "none"
"""Chosen in place of a topic, leaves a channel out."""

TRUTH = "/ground_truth"
"""Namespace of what only a simulator knows; no topic in it is taken unless it is chosen."""

TYPES: dict[str, tuple[str, ...]] = {
    "camera": ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"),
    "camera_info": ("sensor_msgs/msg/CameraInfo",),
    "imu": ("sensor_msgs/msg/Imu", "px4_msgs/msg/SensorCombined"),
    "odometry": ("nav_msgs/msg/Odometry", "px4_msgs/msg/VehicleOdometry"),
    "goal": ("geometry_msgs/msg/PoseStamped",),
    "command": ("geometry_msgs/msg/TwistStamped", "geometry_msgs/msg/Twist"),
    "operator": ("std_msgs/msg/Bool",),
    "settings": ("std_msgs/msg/String",),
}
"""Message types that a role may have."""

FLAGS = {"odometry": "--odom", "command": "--cmd"}
"""Options that are not called as the role is."""


@dataclass(frozen=True)
class Topics:
    """Topics of a flight by role, None where there is none.

    As a choice, None leaves it to `find` and `NONE` leaves the role out.
    """

    camera: str | None = None
    camera_info: str | None = None
    imu: str | None = None
    odometry: str | None = None
    goal: str | None = None
    command: str | None = None
    operator: str | None = None
    settings: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """All that there are."""
        return frozenset(name for role in fields(self) if (name := getattr(self, role.name)))


def find(topics: Mapping[str, Topic], chosen: Topics, comparing: bool, goals: bool) -> Topics:
    """Find the topic of each role.

    One that is chosen is taken. Of camera, IMU and odometry, the only topic of their types is
    taken; so are the goal's if `goals`, and the recorded commands if `comparing`, for else a pose
    or a twist may be anything. The camera's info is the one beside its images;
    the operator's stop and the settings are known by our names for them.

    Raises:
        ReplayError: when a chosen topic is not there or of another type, when several topics
            could be meant, listing them, or when nothing at all is found.

    """
    found: dict[str, str | None] = {}
    for role in ("camera", "imu", "odometry", "goal", "command"):
        wanted = {"goal": goals, "command": comparing}.get(role, True)
        found[role] = _one(topics, role, getattr(chosen, role), wanted)
    camera = found["camera"]
    if chosen.camera_info is not None or camera is None:
        found["camera_info"] = _one(topics, "camera_info", chosen.camera_info, False)
    else:
        found["camera_info"] = _info_beside(topics, camera)
    for role, name in (("operator", OPERATOR_STOP), ("settings", SETTINGS)):
        ours = topics.get(name)
        own = name if ours is not None and ours.type in TYPES[role] else NONE
        found[role] = _one(topics, role, getattr(chosen, role) or own, False)
    if not any(found[role] for role in ("camera", "imu", "odometry", "goal")):
        raise ReplayError(
            "the recording holds nothing that a controller takes in; its topics are "
            + (", ".join(map(_describe, topics.values())) or "none")
        )
    return Topics(**found)


def _one(topics: Mapping[str, Topic], role: str, choice: str | None, search: bool) -> str | None:
    if choice == NONE:
        return None
    if choice is not None:
        if choice not in topics:
            raise ReplayError(
                f"there is no topic {choice}, topics of the type of {role} are "
                f"{_listed(topics, role) or 'none'}"
            )
        if topics[choice].type not in TYPES[role]:
            raise ReplayError(
                f"{_describe(topics[choice])} cannot be the {role}, "
                f"which is {' or '.join(TYPES[role])}"
            )
        return choice
    candidates = [t.name for t in _of_type(topics, role)] if search else []
    if len(candidates) > 1:
        flag = FLAGS.get(role, f"--{role}")
        raise ReplayError(
            f"which topic is the {role}? Choose one by {flag}, or {flag} {NONE}: "
            f"{_listed(topics, role)}"
        )
    return candidates[0] if candidates else None


def _info_beside(topics: Mapping[str, Topic], camera: str) -> str | None:
    """Find the CameraInfo in the namespace of the images, as image_transport has it."""
    base = camera
    while "/" in base:
        base = base.rpartition("/")[0]
        name = f"{base}/camera_info"
        if name in topics and topics[name].type in TYPES["camera_info"]:
            return name
    return None


def _of_type(topics: Mapping[str, Topic], role: str) -> list[Topic]:
    return [
        topic
        for topic in topics.values()
        if topic.type in TYPES[role] and not topic.name.startswith(f"{TRUTH}/")
    ]


def _listed(topics: Mapping[str, Topic], role: str) -> str:
    return ", ".join(map(_describe, _of_type(topics, role)))


def _describe(topic: Topic) -> str:
    return f"{topic.name} ({topic.type})"
