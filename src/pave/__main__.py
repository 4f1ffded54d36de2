"""``python -m pave``: the command line, for launchers that start modules by name."""

from __future__ import annotations

import sys

from pave.cli import main

if __name__ == "__main__":
    sys.exit(main())
