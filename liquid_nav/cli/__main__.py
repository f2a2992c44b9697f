"""``python -m liquid_nav.cli`` is the `liquid-nav` command."""

import sys

from liquid_nav.cli.start import main

sys.exit(main())
