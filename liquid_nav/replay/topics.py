"""Which topics of a recording are the flight: found by type, or chosen."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from liquid_nav.bags.records import Topic
from liquid_nav.errors import ConfigError, ReplayError
from liquid_nav.events import Channel
from liquid_nav.messages.operator import OperatorStopMessage
from liquid_nav.messages.plug import channel_types
from liquid_nav.recording.recorder import SETTINGS
from liquid_nav.recording.topics import CAMERA_INFO_TYPE, TRUTH, camera_info_beside
from liquid_nav.replay.commands import READERS

NONE = "none"
"""Chosen in place of a topic, leaves a channel out."""

_DISTANCES = "/compressedDepth"
"""How image_transport ends the topic of a depth image, which is no picture."""

OTHERS = {
    "camera_info": (CAMERA_INFO_TYPE,),
    "command": tuple(READERS),
    "settings": ("std_msgs/msg/String",),
}
"""Message types of what is not a channel."""

OPTIONS = {
    "camera": "--camera",
    "camera_info": "--camera-info",
    "imu": "--imu",
    "odometry": "--odom",
    "goal": "--goal",
    "range": "--range",
    "command": "--cmd",
}
"""Options of the command line by role."""


def option_of(role: str) -> str:
    """Name what chooses the topic of a role on the command line: an option, or a file's key."""
    return OPTIONS.get(role, f"--config (topics: {role}:)")


@dataclass(frozen=True)
class Topics:
    """Topics of a flight, None where there is none.

    As a choice, None leaves a topic to `find` and `NONE` leaves it out.

    Attributes:
        channels: topic of each channel.
        camera_info: calibration of the camera.
        command: recorded commands.
        settings: recorded settings of the safety layer.

    """

    channels: Mapping[Channel, str | None] = field(default_factory=dict)
    camera_info: str | None = None
    command: str | None = None
    settings: str | None = None

    @classmethod
    def of(cls, roles: Mapping[str, str | None]) -> "Topics":
        """Topics by role: the name of a channel, or of another attribute.

        Raises:
            ConfigError: on an unknown role.

        """
        channels = {channel.value: channel for channel in channel_types()}
        unknown = [role for role in roles if role not in channels and role not in OTHERS]
        if unknown:
            raise ConfigError(
                f"there is no topic called {', '.join(unknown)}; "
                f"choose from {', '.join((*channels, *OTHERS))}"
            )
        return cls(
            {channels[role]: topic for role, topic in roles.items() if role in channels},
            **{role: topic for role, topic in roles.items() if role in OTHERS},
        )

    @property
    def roles(self) -> dict[str, str | None]:
        """Topics by role, see `of`."""
        others = {role: getattr(self, role) for role in OTHERS}
        return {channel.value: name for channel, name in self.channels.items()} | others

    @property
    def names(self) -> frozenset[str]:
        """All topics that there are."""
        return frozenset(name for name in self.roles.values() if name)


def find(
    topics: Mapping[str, Topic],
    chosen: Topics,
    comparing: bool,
    reads: Collection[Channel] = (Channel.CAMERA, Channel.IMU),
) -> Topics:
    """Find the topic of each channel, and of what belongs to the flight beside.

    A topic that is chosen is taken. Of the channels in `reads`, and of odometry, the only topic of
    their types is taken, and so is that of recorded commands if `comparing`; a pose, a range or a
    twist that nobody asks for may be anything. The camera's info is the one beside its images; the
    operator's stop and the settings are known by our names for them.

    Args:
        topics: of the recording, by name.
        chosen: what the user chose.
        comparing: whether recorded commands are needed.
        reads: channels that the policy reads.

    Raises:
        ReplayError: when a chosen topic is not there or of another type, when several topics
            could be meant, listing them, or when nothing at all is found.

    """
    channels: dict[Channel, str | None] = {}
    for channel, types in channel_types().items():
        choice = chosen.channels.get(channel)
        if channel == Channel.OPERATOR:
            choice = choice or _ours(topics, OperatorStopMessage.topic, types)
        sought = channel == Channel.ODOMETRY or channel in reads
        channels[channel] = _one(topics, channel.value, types, choice, sought)
    command = _one(topics, "command", OTHERS["command"], chosen.command, comparing)
    settings = chosen.settings or _ours(topics, SETTINGS, OTHERS["settings"])
    info, images = chosen.camera_info, channels[Channel.CAMERA]
    if info is None and images is not None:
        info = camera_info_beside(topics, images)
    if not any(name for channel, name in channels.items() if channel != Channel.OPERATOR):
        raise ReplayError(
            "the recording holds nothing that a controller takes in whose policy reads "
            f"{', '.join(sorted(reads))}; its topics are "
            + (", ".join(map(_describe, topics.values())) or "none")
        )
    return Topics(
        channels,
        camera_info=_one(topics, "camera_info", OTHERS["camera_info"], info, False),
        command=command,
        settings=_one(topics, "settings", OTHERS["settings"], settings, False),
    )


def _one(
    topics: Mapping[str, Topic],
    role: str,
    types: tuple[str, ...],
    choice: str | None,
    search: bool,
) -> str | None:
    if choice == NONE:
        return None
    candidates = _of_type(topics, types)
    listed = ", ".join(map(_describe, candidates))
    if choice is not None:
        if choice not in topics:
            raise ReplayError(
                f"there is no topic {choice}, topics of the type of {role} are {listed or 'none'}"
            )
        if topics[choice].type not in types:
            raise ReplayError(
                f"{_describe(topics[choice])} cannot be the {role}, which is {' or '.join(types)}"
            )
        return choice
    if not search:
        return None
    if role == "command":
        # A node's own command goes before what a back-end made of it for its autopilot.
        candidates = [c for c in candidates if c.type.startswith("geometry_msgs/")] or candidates
    if len(candidates) > 1:
        flag = option_of(role)
        raise ReplayError(
            f"which topic is the {role}? Choose one by {flag}, or {flag} {NONE}: {listed}"
        )
    return candidates[0].name if candidates else None


def _ours(topics: Mapping[str, Topic], name: str, types: tuple[str, ...]) -> str:
    """The topic of our own name for it, or `NONE` where the recording has none."""
    return name if name in topics and topics[name].type in types else NONE


def _of_type(topics: Mapping[str, Topic], types: tuple[str, ...]) -> list[Topic]:
    return [
        topic
        for topic in topics.values()
        if topic.type in types
        and not topic.name.startswith(f"{TRUTH}/")
        and not topic.name.endswith(_DISTANCES)
    ]


def _describe(topic: Topic) -> str:
    return f"{topic.name} ({topic.type})"
