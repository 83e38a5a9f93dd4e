"""Benchmarks and the gate share the plugin that times pairs."""

pytest_plugins = ["bench.gate.plugin"]
