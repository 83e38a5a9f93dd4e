"""``sparsenet predict``: the latency a network would have here if it were pruned, before anyone trains it."""
