"""`python -m dis2_edge` is the command `dis2-edge`."""

import sys

from dis2_edge.cli import main

if __name__ == "__main__":
    sys.exit(main())
