"""This CPU: how ops become stages (``lower``), the kernels that they call, and what runs them (``runtime``)."""
