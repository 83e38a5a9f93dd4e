"""What each ONNX operator becomes, a file for each family; ``table`` has them all."""
