"""Export of a model to ONNX, for lvc-runtime."""
