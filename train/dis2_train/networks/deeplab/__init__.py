"""DeepLabV3 on one sensor (arXiv 1706.05587): CSK-Net's teacher, its baseline, and a lone sensor's path."""

from dis2_train.networks.deeplab.network import DeepLabV3

__all__ = ["DeepLabV3"]
