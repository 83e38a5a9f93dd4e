"""From Graph to Plan: layouts, packed weights, kernels chosen, one arena, one tape."""
