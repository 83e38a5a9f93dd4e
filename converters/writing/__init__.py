"""Weights of a changed graph, put back into what the graph was made of: an ONNX model or a PyTorch module."""
