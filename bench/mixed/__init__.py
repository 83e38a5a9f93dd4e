"""Networks of which only a part is quantized, against float32: ``python -m bench.mixed``."""
