"""C99 for microcontrollers: a plan of rows that flow through ring buffers, printed as source code."""
