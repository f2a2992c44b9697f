"""Give eyes to a vehicle that something else flies: frames of a task's scene, and a verdict."""

from liquid_nav.ros import launching

ARGUMENTS = (
    ("task", "target", "What to fly: a task of the simulator."),
    ("seed", "0", "Scene of the first flight; ~/begin counts up."),
    ("pose", "", "odometry, px4 or tf: what tells the pose; empty: as eyes_params_file says."),
    ("pose_topic", "", "Topic of the pose; empty: as eyes_params_file says."),
    ("pose_stamps", "", "message or arrival; empty: as eyes_params_file says."),
    ("vehicle", "", "Name of a vehicle, or path of a .toml file; empty: as eyes_params_file says."),
    ("sensors", "", "Names of the sensors, with commas between; empty: as eyes_params_file says."),
    ("placed", "", "at_start or fixed: where the scene is; empty: as eyes_params_file says."),
    ("begin", "", "airborne or service: what begins a flight; empty: as eyes_params_file says."),
    ("faults", "", "Path of a .toml file of faults; empty: as eyes_params_file says."),
    ("use_sim_time", "false", "Take the time from /clock, which a simulator publishes."),
    ("namespace", "", "Namespace of the vehicle; simulated time is then NAMESPACE/clock."),
    (
        "eyes_params_file",
        launching.share("config", "liquid_nav_eyes.yaml"),
        "Parameters of the eyes.",
    ),
    ("log_level", "info", "debug, info, warn or error."),
)


def setup(context):
    """Make the process, once the arguments are known."""
    parameters = {
        "task": launching.value(context, "task"),
        "seed": launching.number(context, "seed", int),
        "use_sim_time": launching.flag(context, "use_sim_time"),
    }
    given = ("pose", "pose_topic", "pose_stamps", "vehicle", "placed", "begin", "faults")
    parameters.update(launching.chosen(context, *given))
    if names := launching.value(context, "sensors"):
        parameters["sensors"] = [name.strip() for name in names.split(",")]
    return [*launching.middleware(), launching.eyes(context, parameters)]


def generate_launch_description():
    """Describe this file to `ros2 launch`."""
    return launching.describe(ARGUMENTS, setup)
