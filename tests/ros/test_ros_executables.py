"""The executables as a shell starts them: what keeps one from starting is said in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ros.ros_support import private_domain

NODES = ("controller", "supervisor", "simulator", "player")


def start(node: str, *arguments: str, before: str = "") -> tuple[int, str, str]:
    """Run an executable to its end; return status, stdout and stderr."""
    private_domain()
    program = f"{before}\nfrom liquid_nav.ros.executables import {node}; {node}()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout, done.stderr


def one_error(status: int, errors: str) -> str:
    """The error that the process ended with."""
    assert status == 2
    assert "Traceback" not in errors
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_without_rclpy_an_executable_says_what_it_needs(
    node: str, arguments: tuple[str, ...]
) -> None:
    status, _, errors = start(node, *arguments, before="import sys; sys.modules['rclpy'] = None")
    assert one_error(status, errors) == errors.strip()
    assert "needs ROS 2, but rclpy cannot be imported" in errors


@pytest.mark.parametrize("node", NODES)
def test_a_parameter_file_that_is_not_there_is_named(node: str, tmp_path: Path) -> None:
    file = tmp_path / "missing.yaml"
    status, _, errors = start(node, "--ros-args", "--params-file", str(file))
    assert one_error(status, errors) == errors.strip()
    assert f"there is no parameter file {file}" in errors


def test_help_shows_the_usage() -> None:
    status, output, errors = start("controller", "--help")
    assert (status, errors) == (0, "")
    assert output.startswith("usage: liquid_nav_node [--ros-args")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-p", "backend:=px4"), "takes no argument '-p' before --ros-args"),
        (("--ros-args", "--bogus"), "unknown arguments of ROS: ['--bogus']"),
        (("--ros-args", "-r", "__ns:=/9x"), "Couldn't parse remap rule: '-r __ns:=/9x'"),
        (("--ros-args", "-p", "executor:=3"), "executor"),
        (("--ros-args", "-p", "autostart:=true", "-p", "twist.topic:='cmd vel'"), "twist.topic"),
    ],
)
def test_wrong_arguments_end_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    status, _, errors = start("controller", *arguments)
    assert words in one_error(status, errors)


def test_a_parameter_file_that_is_no_yaml_ends_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text("]:[")
    status, _, errors = start("supervisor", "--ros-args", "--params-file", str(file))
    assert str(file) in one_error(status, errors)


@pytest.mark.parametrize(
    ("node", "name", "topic"),
    [
        ("supervisor", "twist.topic", "'cmd vel'"),
        ("supervisor", "heartbeat", "'node//heartbeat'"),
        ("player", "commands", "'2nd'"),
        ("simulator", "sensors", "['imu', 'front camera']"),
    ],
)
def test_every_node_names_the_parameter_of_a_bad_topic(node: str, name: str, topic: str) -> None:
    status, _, errors = start(node, "--ros-args", "-p", f"{name}:={topic}")
    assert name in one_error(status, errors)
    assert "must be a valid name in ROS 2" in errors


def test_one_topic_in_two_roles_is_refused_by_every_node() -> None:
    status, _, errors = start(
        "supervisor", "--ros-args", "-p", "twist.topic:=liquid_nav_node/heartbeat"
    )
    assert "twist.topic and heartbeat are the same topic" in one_error(status, errors)
    status, _, errors = start(
        "simulator", "--ros-args", "-p", "sensors:=['cmd_vel']", "-p", "cmd_vel.model:=imu"
    )
    assert "sensor cmd_vel and the commands are the same topic" in one_error(status, errors)
