"""liquid_nav: real-time drone navigation by a continuous-time (liquid) neural controller.

Camera and IMU measurements enter as events, each with its own time; a command can be asked for at
any instant. See ``docs/`` and the README for the way in.
"""

__version__ = "0.1.0"
