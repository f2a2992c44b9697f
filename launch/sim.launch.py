"""Fly the simulator: a simulated drone, the controller, and the supervisor."""

from pathlib import Path

from liquid_nav.ros import launching

ARGUMENTS = (
    ("task", "target", "What to fly: a task of the simulator, for which the model was trained."),
    ("seed", "0", "Scene and disturbances of the first flight; the next flights count up."),
    ("episodes", "1", "Flights until everything ends; 0 for no end."),
    ("model", "", "Shipped model by name, or path of a bundle; empty: as params_file says."),
    ("vehicle", "", "Name of a vehicle, or path of a .toml file; empty: as sim_params_file says."),
    ("sensors", "", "Names of the sensors, with commas between; empty: as sim_params_file says."),
    ("renderer", "", "bullet or raycast; empty: as sim_params_file says."),
    ("wind", "", "Largest speed of the steady wind, m/s; empty: as sim_params_file says."),
    ("faults", "", "Path of a .toml file of faults; empty: as sim_params_file says."),
    ("gui", "false", "Show PyBullet's window."),
    ("pace", "real_time", "real_time, or lock_step: the world waits for each command."),
    ("speed", "1.0", "Seconds simulated in one second, in real_time."),
    (
        "record",
        "false",
        "Record each flight to an MCAP that `liquid-nav replay` reads, see record_to.",
    ),
    ("record_to", "liquid_nav_flights", "Folder of the recordings."),
    ("namespace", "", "Namespace of the drone; its clock is then NAMESPACE/clock."),
    (
        "params_file",
        launching.share("config", "liquid_nav.yaml"),
        "Parameters of controller and supervisor.",
    ),
    (
        "sim_params_file",
        launching.share("config", "liquid_nav_sim.yaml"),
        "Parameters of the simulator.",
    ),
    ("log_level", "info", "debug, info, warn or error."),
)


def setup(context):
    """Make the processes, once the arguments are known."""
    simulated = {
        "task": launching.value(context, "task"),
        "seed": launching.number(context, "seed", int),
        "episodes": launching.number(context, "episodes", int),
        "auto_reset": True,
        "gui": launching.flag(context, "gui"),
        "pace": launching.value(context, "pace"),
        "speed": launching.number(context, "speed"),
    }
    simulated.update(launching.chosen(context, "vehicle", "renderer", "faults"))
    if names := launching.value(context, "sensors"):
        simulated["sensors"] = [name.strip() for name in names.split(",")]
    if launching.value(context, "wind"):
        simulated["wind.steady"] = launching.number(context, "wind")
    # The simulator takes what the back-end twist sends.
    common = {"use_sim_time": True, "backend": "twist"}
    model = launching.chosen(context, "model")
    # A process may have another folder than the launch that starts it.
    folder = Path(launching.value(context, "record_to")).expanduser().absolute()
    recorded = {"flight_log": str(folder)} if launching.flag(context, "record") else {}
    # Simulated failsafes fill no one's home directory.
    controller = {**common, **model, **recorded, "black_box.seconds": 0.0}
    controller["task"] = simulated["task"]
    clock = launching.own_clock(context)
    return [
        *launching.middleware(),
        launching.simulator(context, simulated),
        launching.controller(context, controller, remappings=clock),
        launching.supervisor(context, common, remappings=clock),
    ]


def generate_launch_description():
    """Describe it to `ros2 launch`."""
    return launching.describe(ARGUMENTS, setup)
