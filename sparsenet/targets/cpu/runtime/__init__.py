"""Running plans on a CPU: machine code, tapes of kernel calls, worker threads, memory."""
