"""C kernels, a file for each algorithm: ``body(kernel)`` prints the lines of the function.

A function gets the arguments that do not change, the rows that it reads (a null pointer for one that is padding),
where its row of the result is, and the number of its unit. ``@`` is the network's prefix, ``$`` the same of macros.
"""
