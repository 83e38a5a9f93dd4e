"""What is measured: networks and layers, at a sparsity."""
