"""The TensorRT engine of a Jetson: files built into plans on the board, kept beside the bundle, proven, flown.

`engine.TensorRtEngine` is the Engine. Nothing in here imports TensorRT before something is opened.
"""
