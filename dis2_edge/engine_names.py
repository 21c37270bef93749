"""The engines that fly bundles: what they are called, and which model files each takes."""

from __future__ import annotations

from typing import Literal

from dis2_edge.manifest import Dialect, Io

EngineName = Literal["onnxruntime", "tensorrt"]
Wanted = Literal["auto", "onnxruntime", "tensorrt"]
WANTED: tuple[Wanted, ...] = ("auto", "tensorrt", "onnxruntime")
"""What may be asked for: auto is TensorRT where bundle and machine have it, else ONNX Runtime."""
FILES: dict[EngineName, tuple[Dialect, Io]] = {"onnxruntime": ("ort", "frame"), "tensorrt": ("trt", "tensor")}
"""The model files that an engine flies."""
FOR_PEOPLE: dict[EngineName, str] = {"onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT"}
"""An engine's name as its makers write it."""
