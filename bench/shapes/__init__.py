"""Layers of real networks, for benchmarks, each as a graph of its own."""

from __future__ import annotations

from bench.shapes.layers import BY_FAMILY, CONVOLUTIONS, LAYERS, LayerShape

__all__ = ["BY_FAMILY", "CONVOLUTIONS", "LAYERS", "LayerShape"]
