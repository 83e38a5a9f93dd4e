"""Plans for a GPU: layouts, packed weights, a list of launches. Nothing here needs one, or Numba."""
