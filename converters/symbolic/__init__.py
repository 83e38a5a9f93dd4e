"""Sizes that are only known when the network runs."""
