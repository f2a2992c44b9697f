"""Gymnasium environments of all tasks, including those of installed packages.

Importing this package registers them. Gymnasium imports it itself for an id that begins with its
name::

    gymnasium.make("liquid_nav_sim.gym:liquid_nav/Target-v0")
"""

import gymnasium

from liquid_nav_sim.tasks.registry import TASKS

for _task in TASKS:
    gymnasium.register(
        id=f"liquid_nav/{_task.capitalize()}-v0",
        entry_point="liquid_nav_sim.gym.env:NavigationEnv",
        kwargs={"task": _task},
    )
