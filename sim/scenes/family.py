"""The interface of families of appearances."""

from abc import ABC, abstractmethod

import numpy as np

from liquid_nav_sim.scenes.colours import Palette
from liquid_nav_sim.scenes.scene import Appearance


class AppearanceFamily(ABC):
    """A family of appearances: what training draws from, or what a policy is tested in.

    Attributes:
        distractors: colours of small objects whose hue is near that of a red target; empty if
            scenes of the family have none.
    """

    distractors: tuple[Palette, ...] = ()

    @abstractmethod
    def look(self, rng: np.random.Generator, weather: bool) -> Appearance:
        """Draw an appearance; equal streams give equal bytes.

        Args:
            rng: random stream of the scene.
            weather: whether the task has fog in some scenes. A family may have fog in others too.
        """

    @abstractmethod
    def trunks(self, rng: np.random.Generator, look: Appearance) -> Palette:
        """Draw the range of colours of the trunks of one scene, which stand out from its look."""

    @abstractmethod
    def gates(self, rng: np.random.Generator, look: Appearance) -> Palette:
        """Draw the range of colours of the gates of one scene, which stand out from its look."""

    def with_photographs(self, folder: str) -> "AppearanceFamily | None":
        """Make the same family with the photographs of a folder as textures of the ground.

        Returns:
            The family, or None if this one has no photographs.

        Raises:
            SimulationError: if the photographs of the folder cannot be read.
        """
        return None
