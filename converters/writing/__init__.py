"""Weights of a changed graph, put back into the network that the graph was made of: an ONNX model."""
