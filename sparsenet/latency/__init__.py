"""What layers will take on this machine, from a table of what others took, which ``sparsenet predict`` measures."""
