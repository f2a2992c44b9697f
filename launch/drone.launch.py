"""Fly a vehicle: the controller, and the supervisor that takes over when the controller dies."""

from liquid_nav.ros import launching

ARGUMENTS = (
    (
        "namespace",
        "",
        "Namespace of the vehicle: vehicles in different ones share no topics.",
    ),
    (
        "params_file",
        launching.share("config", "liquid_nav.yaml"),
        "Parameters of controller and supervisor: topics, limits, timeouts.",
    ),
    ("model", "", "Shipped model by name, or path of a bundle; empty: as params_file says."),
    (
        "backend",
        "",
        "twist, mavros, ardupilot, mavlink, px4, crazyswarm2, or one of an installed package; "
        "empty: as params_file says.",
    ),
    (
        "enclave",
        "",
        "SROS2 enclave of the vehicle; its controller and supervisor have one each below it.",
    ),
    ("use_sim_time", "false", "Take the time from /clock, which a simulator publishes."),
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
    """Describe this file to `ros2 launch`."""
    return launching.describe(ARGUMENTS, setup)
