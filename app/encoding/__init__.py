"""Pixels to y while serving: verified artifacts, one preparation path, ONNX Runtime, micro-batches."""
