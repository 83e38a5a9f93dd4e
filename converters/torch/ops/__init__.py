"""The rules of ATen operations, a file for each family; ``table`` has them all."""
