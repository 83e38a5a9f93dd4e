"""What an op means, in elements and axes, whatever the target: the decisions that the lowerings of all targets share.

Shapes have the batch first, as the attributes of nodes count axes; strides and offsets are in elements, not bytes.
"""
