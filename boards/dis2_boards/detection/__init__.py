"""Which board this is and what stands on it, told from files alone.

Python's standard library only, 3.10 and later: this room travels to boards together with the agent.
"""

from dis2_boards.detection.detect import detect
from dis2_boards.detection.detected import Detected

__all__ = ["Detected", "detect"]
