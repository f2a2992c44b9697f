"""``liquid-nav replay``: a recorded flight through the controller, in a table and in files."""

from dataclasses import dataclass

from liquid_nav.cli.replay_options import TASK, ReplayOptions
from liquid_nav.cli.shipped import shipped_model


@dataclass(frozen=True)
class Replay(ReplayOptions):
    """Replay a recorded flight through the controller and show what it did.

    With a "what if" option it is replayed twice, and the changed replay is shown beside the first.

    Example: liquid-nav replay flight.mcap --compare --out replay
    """

    def run(self) -> int:
        """Replay the flight, print a summary, write files, and give the exit code."""
        from liquid_nav.cli.replay_flight import run

        return run(self, self.model or shipped_model(TASK))
