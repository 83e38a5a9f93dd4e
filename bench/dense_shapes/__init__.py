"""Dense layers against ONNX Runtime's, one by one: ``python -m bench.dense_shapes``."""
