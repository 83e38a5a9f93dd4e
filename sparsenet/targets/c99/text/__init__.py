"""A plan as C99: a header, the schedule, kernels, constants, and what builds and tests them."""
