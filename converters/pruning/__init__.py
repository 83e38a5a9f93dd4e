"""Pruning of a trained network from unlabelled inputs: weights to zero, the others changed to make up for it."""
