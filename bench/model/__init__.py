"""``sparsenet bench MODEL``: a user's network in several engines, side by side."""
