"""Entry point of the `liquid-nav` command.

The commands take up to a second to import. Ctrl-C in that time ends the process like Ctrl-C at any
other: without a traceback, with status 130. This module imports next to nothing.
"""

import os
import signal


def main() -> int:
    """Run the command line of the process and give the exit code."""
    # It may be ignored, as in a shell's background: then it stays so.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from liquid_nav.cli.main import main as run

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()
