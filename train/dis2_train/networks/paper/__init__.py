"""The `paper` preset: DIS2 as its authors released it, exactly, faults included (arXiv 2601.13502)."""

from dis2_train.networks.paper.load import load_official
from dis2_train.networks.paper.network import PaperDis2

__all__ = ["PaperDis2", "load_official"]
