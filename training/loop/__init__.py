"""The training loop: how to train (``config``), and a run of it with all its state (``run``)."""
