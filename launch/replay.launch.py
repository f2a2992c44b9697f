"""Play a bag into the controller; its commands reach no vehicle, they are on replay/cmd_vel."""

from liquid_nav.ros import launching

ARGUMENTS = (
    ("bag", "", "The recording: a ROS 2 folder, or a file .mcap, .db3, .bag or .ulg."),
    ("rate", "1.0", "Seconds played in one second; the controller takes its time from the bag."),
    ("start_offset", "0.0", "Seconds of the bag to skip."),
    ("namespace", "", "Namespace that the bag was recorded in; its clock is then in it, too."),
    ("commands", "cmd_vel", "Topic of the recorded commands, played to /recorded/... ."),
    (
        "params_file",
        launching.share("config", "liquid_nav.yaml"),
        "Parameters of the controller; its topics count where the bag has several of a kind.",
    ),
    ("model", "", "Shipped model by name, or path of a bundle; empty: as params_file says."),
    ("liquid_state_rate", "0.0", "Hz of the liquid state on liquid_nav_node/liquid_state."),
    ("log_level", "info", "debug, info, warn or error."),
)


def setup(context):
    """Make the processes, once the arguments are known."""
    played = {
        "bag": launching.value(context, "bag"),
        "rate": launching.number(context, "rate"),
        "start_offset": launching.number(context, "start_offset"),
        "commands": launching.value(context, "commands"),
    }
    controller = {
        **launching.chosen(context, "model"),
        **launching.recorded(played["bag"]),
        "use_sim_time": True,
        "backend": "twist",
        "twist.topic": "replay/cmd_vel",
        # There is a recording already.
        "black_box.seconds": 0.0,
        "liquid_state_rate": launching.number(context, "liquid_state_rate"),
    }
    return [
        *launching.middleware(),
        launching.controller(
            context, controller, ends_all=True, remappings=launching.own_clock(context)
        ),
        launching.player(context, played),
    ]


def generate_launch_description():
    """Describe this file to `ros2 launch`."""
    return launching.describe(ARGUMENTS, setup)
