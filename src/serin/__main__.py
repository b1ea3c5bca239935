"""`python -m serin` is `serin`."""

import sys

from serin.cli import main

sys.exit(main())
