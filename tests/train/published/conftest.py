"""Lets the tests beside it import the look-alike folders."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
