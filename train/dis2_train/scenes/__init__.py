"""Whole scenes: segmented window by window, blended without seams, written as a Cloud-Optimised GeoTIFF."""

from __future__ import annotations

from dis2_train.scenes.predict import Request, predict_scene
from dis2_train.scenes.summary import Summary

__all__ = ["Request", "Summary", "predict_scene"]
