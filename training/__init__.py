"""Training: models, data, distillation and pruning; everything before conversion."""
