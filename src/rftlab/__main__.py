"""``python -m rftlab`` is the command ``rftlab``."""

import sys

from rftlab.cli import main

sys.exit(main())
