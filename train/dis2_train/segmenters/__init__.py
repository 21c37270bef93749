"""Segmenters: one face for a trained run, a quantised run, a single .onnx file and a bundle. See `open_segmenter`."""

from __future__ import annotations

from dis2_train.segmenters.opening import open_segmenter
from dis2_train.segmenters.segmenter import Frames, Pixels, Segmenter

__all__ = ["Frames", "Pixels", "Segmenter", "open_segmenter"]
