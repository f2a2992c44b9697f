"""The model bundles that come with the package."""

import importlib.resources
from pathlib import Path

from liquid_nav.errors import BundleError


def shipped_model(task: str) -> Path:
    """Give the directory of the bundle for a task.

    Raises:
        BundleError: when no bundle for it is installed.

    """
    try:
        model = Path(str(importlib.resources.files("liquid_nav_models") / task))
    except ModuleNotFoundError as error:
        raise BundleError("no model comes with this installation: give one with --model") from error
    if not model.is_dir():
        raise BundleError(
            f"no model for task {task!r} comes with liquid_nav: train one with liquid-nav train "
            f"{task} and give it with --model, or fly with --pilot expert"
        )
    return model
