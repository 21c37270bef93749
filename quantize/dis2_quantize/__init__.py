"""Stage 2: make a trained network small and exact enough for a board (torch and ONNX)."""
