"""Export trained models to ONNX, measure them, and write their artifacts."""
