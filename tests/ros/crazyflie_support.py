"""A stand-in for Crazyswarm2's messages, with which its back-end flies over real DDS.

``crazyflie_interfaces`` is not on PyPI. Its ``Hover`` is here a ``TwistStamped`` that is filled by
the names of Hover's fields; the height setpoint is its linear z.
"""

from pathlib import Path

import pytest

TOPIC = "/cf1/cmd_hover"

_MODULE = '''
from geometry_msgs.msg import TwistStamped


def _field(part, axis):
    def get(self):
        return getattr(getattr(self.twist, part), axis)

    def put(self, value):
        setattr(getattr(self.twist, part), axis, value)

    return property(get, put)


class Hover(TwistStamped):
    """Fields of crazyflie_interfaces/Hover in a TwistStamped."""

    __slots__ = ()
    vx, vy = _field("linear", "x"), _field("linear", "y")
    yaw_rate, z_distance = _field("angular", "z"), _field("linear", "z")


# rclpy compares the names before it serialises.
Hover.__module__, Hover.__name__ = TwistStamped.__module__, TwistStamped.__name__
'''


def install_messages(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have the stand-in found by this process and by those it starts."""
    package = folder / "crazyflie_interfaces"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "msg.py").write_text(_MODULE)
    patch.syspath_prepend(folder)
    patch.setenv("PYTHONPATH", str(folder), prepend=":")
