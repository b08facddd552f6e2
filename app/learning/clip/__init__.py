"""Make a model of a pair of encoders, of pictures and of texts, that others trained and exported to ONNX."""
