"""Play a bag into the controller, which commands nobody: its answers are on replay/cmd_vel."""

from launch import LaunchDescription
from launch.actions import EmitEvent, ExecuteProcess, OpaqueFunction
from launch.events import Shutdown

from liquid_nav.ros import launching

ARGUMENTS = (
    ("bag", "", "The bag, as `ros2 bag play` takes it."),
    ("rate", "1.0", "Speed of the bag; the controller follows its clock."),
    ("start_offset", "0.0", "Seconds of the bag to skip."),
    ("namespace", "", "Namespace that the bag was recorded in."),
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
    bag = launching.value(context, "bag")
    if not bag:
        raise RuntimeError("name the bag to play: bag:=/path/to/bag")
    parameters = {
        **launching.chosen(context, "model"),
        "use_sim_time": True,
        "backend": "twist",
        "twist.topic": "replay/cmd_vel",
        "liquid_state_rate": float(launching.value(context, "liquid_state_rate")),
    }
    # The recorded commands would be taken for ours, and the recorded clock for the player's.
    commands = "/".join(("", *launching.chosen(context, "namespace").values(), "cmd_vel"))
    player = ExecuteProcess(
        cmd=[
            "ros2",
            "bag",
            "play",
            bag,
            "--clock",
            "200",
            "--rate",
            launching.value(context, "rate"),
            "--start-offset",
            launching.value(context, "start_offset"),
            "--exclude-topics",
            "/clock",
            "--remap",
            f"{commands}:=/recorded{commands}",
        ],
        output="screen",
        on_exit=[EmitEvent(event=Shutdown(reason="the bag has ended"))],
    )
    return [*launching.middleware(), launching.controller(context, parameters), player]


def generate_launch_description():
    """Describe it to `ros2 launch`."""
    return LaunchDescription([*launching.declare(ARGUMENTS), OpaqueFunction(function=setup)])
