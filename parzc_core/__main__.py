"""`python -m parzc_core` is the command `parzc`."""

import sys

from parzc_core.cli import main

sys.exit(main())
