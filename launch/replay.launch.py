"""Play a bag into the controller, which commands nobody: its answers are on replay/cmd_vel."""

from liquid_nav.ros import launching

ARGUMENTS = (
    ("bag", "", "The bag: a ROS 2 folder, an mcap or db3 file."),
    ("rate", "1.0", "Speed of the bag; the controller follows its clock."),
    ("start_offset", "0.0", "Seconds of the bag to skip."),
    ("namespace", "", "Namespace that the bag was recorded in."),
    ("commands", "cmd_vel", "Topic of the recorded commands; they are played to /recorded/... ."),
    (
        "params_file",
        launching.share("config", "liquid_nav.yaml"),
        "Parameters of the controller; topics must be the bag's.",
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
    answering = {
        **launching.chosen(context, "model"),
        "use_sim_time": True,
        "backend": "twist",
        "twist.topic": "replay/cmd_vel",
        # There is a recording already.
        "black_box.seconds": 0.0,
        "liquid_state_rate": launching.number(context, "liquid_state_rate"),
    }
    return [
        *launching.middleware(),
        launching.controller(context, answering),
        launching.player(context, played),
    ]


def generate_launch_description():
    """Describe it to `ros2 launch`."""
    return launching.describe(ARGUMENTS, setup)
