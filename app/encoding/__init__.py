"""Pixels to real-valued hash-layer outputs while serving (ONNX Runtime, no torch)."""
