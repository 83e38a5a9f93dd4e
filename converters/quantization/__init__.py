"""Quantization of a trained network: ranges by calibration, rounded weights, a report, and the command."""
