"""C kernels, a file for each algorithm: ``body(kernel)`` prints the lines of the function.

A function gets its arguments ``a``, which do not change; ``rows``, the rows that it reads, a null pointer for one that
is padding, which it may move; ``out_row``, where the result goes; and ``y``, the number of the unit, or, of the
caller's rows, the numbers from one channel to the next. ``@`` is the network's prefix, ``$`` the same of macros.
"""
