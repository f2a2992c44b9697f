"""Suite of the camera's images: light, colour, noise, blur, compression and dirt."""

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.learning.data.images import ImageChange
from liquid_nav_sim.config import WorldConfig

CHANGES = {
    "brightness x0.25": ImageChange(brightness=0.25),
    "brightness x0.5": ImageChange(brightness=0.5),
    "brightness x1.6": ImageChange(brightness=1.6),
    "contrast x0.4": ImageChange(contrast=0.4),
    "contrast x1.5": ImageChange(contrast=1.5),
    "gamma 0.5": ImageChange(gamma=0.5),
    "gamma 2": ImageChange(gamma=2.0),
    "saturation x0.5": ImageChange(saturation=0.5),
    "saturation x1.6": ImageChange(saturation=1.6),
    "warm cast": ImageChange(cast=(1.25, 1.0, 0.75)),
    "cool cast": ImageChange(cast=(0.75, 1.0, 1.25)),
    "noise 10": ImageChange(noise=10.0),
    "noise 20": ImageChange(noise=20.0),
    "blur 0.7 px": ImageChange(blur=0.7),
    "blur 1.2 px": ImageChange(blur=1.2),
    "JPEG 40": ImageChange(jpeg=40),
    "JPEG 15": ImageChange(jpeg=15),
    "dirt 5 %": ImageChange(dirt=0.05),
    "dirt 15 %": ImageChange(dirt=0.15),
}
"""Changes by the name of their cell."""


def image(base: WorldConfig) -> list[Cell]:
    """The nominal conditions, seen through `CHANGES`."""
    return [Cell(name, base, change) for name, change in CHANGES.items()]
