"""From ONNX: how files are read, walked and folded; ``ops`` has the rules."""
