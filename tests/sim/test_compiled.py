"""The inner loop as mypyc compiles it, and as Python runs it: the same flights to the last bit."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SIM = Path(__file__).parents[2] / "sim"

FLIGHTS = """
import hashlib, json
from dataclasses import replace
from liquid_nav.command import Command
from liquid_nav_sim.vehicle import body
from liquid_nav_sim.vehicle.randomisation import VehicleRandomisation
from liquid_nav_sim.vehicle.setpoints import AttitudeSetpoint, RateSetpoint
from liquid_nav_sim.vehicle.files import VEHICLES, load_vehicle
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.imu_models import ImuModel
from liquid_nav_sim.vehicle.autopilot_model import AutopilotModel
from liquid_nav_sim.world import World

QUIET = "racing_250"
SETPOINTS = (
    Command(0, vx=3.0, vy=-1.0, vz=0.5, yaw_rate=1.5),
    Command(0, vx=-3.0, vz=-1.2),
    AttitudeSetpoint(roll=0.3, pitch=-0.5, yaw_rate=-1.0, thrust=13.0),
    RateSetpoint(roll_rate=4.0, pitch_rate=-3.0, yaw_rate=2.0, thrust=8.0),
    Command(0, vy=2.0),
)
flown = {"compiled": body.__file__.endswith(".so")}
for name in VEHICLES:
    drawn = VehicleRandomisation({"mass": 0.1, "inertia": 0.2, "rotor_drag": 0.5})
    config = WorldConfig(vehicle=load_vehicle(name), randomisation=drawn).without("camera")
    if name != QUIET:
        autopilot = AutopilotModel(setpoint_delay=0.02, direct=name < "r", damping=0.6)
        shaken = ImuModel(accel_vibration=2.0, filter_cutoff=30.0 * (name < "r"), filter_order=1)
        config = replace(config, autopilot=autopilot).with_sensor("imu", model=shaken)
    world, digest = World(config), hashlib.sha256()
    world.reset(11)
    for setpoint in SETPOINTS:
        world.command(setpoint)
        until = world.time + 400_000_000
        while world.outcome is None and world.time < until:
            event = world.next_event(world.time + 1)
            if event is not None:
                digest.update(event.specific_force.tobytes())
            digest.update(b"".join(value.tobytes() for value in vars(world.state).values()))
    flown[name] = world.time, digest.hexdigest()
print(json.dumps(flown))
"""


def fly(**environment: str) -> str:
    """Fly in a process of its own, and give what it prints."""
    return subprocess.run(
        [sys.executable, "-c", FLIGHTS],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()[-1]


def test_compiled_and_interpreted_fly_the_same(tmp_path: Path) -> None:
    module = importlib.import_module("liquid_nav_sim.vehicle.body").__file__
    if module is None or not module.endswith(".so"):
        pytest.skip("the inner loop is not compiled here")
    shutil.copytree(SIM, tmp_path / "liquid_nav_sim", ignore=shutil.ignore_patterns("*.so"))
    compiled, interpreted = fly(), fly(PYTHONPATH=str(tmp_path))
    assert compiled.startswith('{"compiled": true')
    assert interpreted == compiled.replace("true", "false")
