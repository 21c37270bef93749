"""Stage 1: train segmentation networks that survive the loss of a sensor (torch)."""
