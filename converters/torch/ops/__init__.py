"""What each ATen operation becomes, a file for each family; ``table`` has them all."""
