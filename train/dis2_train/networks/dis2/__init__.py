"""DIS2 as we train it by default: the paper's parts, its faults mended, every layer made for integers."""

from dis2_train.networks.dis2.network import Dis2

__all__ = ["Dis2"]
