"""The `ort` dialect: ONNX Runtime's own integer operators, channels last, so that nothing is left to fuse."""
