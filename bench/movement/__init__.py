"""Layers that move data, alone, against ONNX Runtime: ``python -m bench.movement``."""
