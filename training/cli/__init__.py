"""Commands of the training package: train, distill, prune, evaluate, demo."""
