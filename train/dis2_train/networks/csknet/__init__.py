"""CSK-Net: optical and infrared, one set of convolutions, and what they teach each other (arXiv 2312.02240)."""

from dis2_train.networks.csknet.network import CskNet

__all__ = ["CskNet"]
