"""A cell: one condition of a suite."""

import hashlib
from dataclasses import dataclass, field

from liquid_nav.learning.images import ImageChange
from liquid_nav_sim.config import WorldConfig


@dataclass(frozen=True)
class Cell:
    """One condition, in which every pilot flies the same scenes.

    Attributes:
        name: name that is unique within the suite.
        config: the world. All cells draw the same scene from the same seed, unless they change the
            task or the appearance.
        image: change of the frames between the camera and the pilot. An expert, which looks into
            the world, is not affected.

    """

    name: str
    config: WorldConfig
    image: ImageChange = field(default_factory=ImageChange)

    @property
    def fingerprint(self) -> str:
        """Digest of the conditions: flights of a cell belong together only if it is the same."""
        return hashlib.sha256(f"{self.config!r} {self.image!r}".encode()).hexdigest()[:16]
