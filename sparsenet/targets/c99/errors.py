"""What lowering raises where there is no C."""


class NoKernelError(Exception):
    """There is no C kernel for a node; the message says why."""
