"""Fly a vehicle: the controller, and the supervisor that brings it to rest when that dies."""

from liquid_nav.ros import launching

ARGUMENTS = (
    ("namespace", "", "Namespace of the vehicle; two in different ones do not hear each other."),
    (
        "params_file",
        launching.share("config", "liquid_nav.yaml"),
        "Parameters of controller and supervisor: topics, limits, timeouts.",
    ),
    ("model", "", "Shipped model by name, or path of a bundle; empty: as params_file says."),
    (
        "backend",
        "",
        "twist, mavros, ardupilot, px4 or crazyswarm2; empty: as params_file says.",
    ),
    (
        "enclave",
        "",
        "SROS2 enclave of the vehicle: its controller and supervisor are in the two below it.",
    ),
    ("use_sim_time", "false", "Follow /clock, as of a simulator."),
    ("log_level", "info", "debug, info, warn or error."),
)


def setup(context):
    """Make the processes, once the arguments are known."""
    common = launching.chosen(context, "backend")
    common["use_sim_time"] = launching.flag(context, "use_sim_time")
    return [
        *launching.middleware(),
        launching.controller(context, {**common, **launching.chosen(context, "model")}),
        launching.supervisor(context, common),
    ]


def generate_launch_description():
    """Describe it to `ros2 launch`."""
    return launching.describe(ARGUMENTS, setup)
