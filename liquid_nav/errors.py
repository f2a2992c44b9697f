"""The one family of errors that leaves this package.

Every error raised at a boundary (a file, a message, a parameter, a command line) derives from
`LiquidNavError`, so that a caller can tell bad input from a bug. In flight nothing raises.
"""


class LiquidNavError(Exception):
    """Bad input: the message says what is wrong, where, and what would be right."""


class EventError(LiquidNavError, ValueError):
    """A measurement that cannot be an event: wrong shape, wrong type, arrival before its stamp."""


class CommandError(LiquidNavError, ValueError):
    """A command whose fields are of the wrong type, or a time at which none can be asked for."""


class ConfigError(LiquidNavError, ValueError):
    """A configuration value out of its range, or a combination that makes no sense."""


class BundleError(LiquidNavError):
    """A model bundle that is missing, truncated, tampered with, or made for something else."""


class ReplayError(LiquidNavError):
    """A recorded flight that cannot be read, or does not hold what is asked of it."""
