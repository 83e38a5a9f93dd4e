"""The rules of ONNX operators, a file for each family; ``table`` has them all."""
