"""Max, average and global average pooling."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.plan.lowering.geometry import Geometry, reciprocals
from sparsenet.targets.cuda.builder import Argument, Builder, Value

#: Threads that add up one image of one channel, up to a size of it, and beyond; and threads of a block.
SMALL_IMAGE, FEW, MANY, BLOCK = 256, 8, 32, 128


def _window(x: Value, geometry: Geometry) -> dict[str, Argument]:
    return {
        "x": x,
        "x_width": x.maps.width,
        "x_height": x.maps.height,
        "x_line": x.maps.line,
        "x_image": x.maps.image,
        "x_pitch": x.maps.pitch,
        "k_h": geometry.kernel[0],
        "k_w": geometry.kernel[1],
        "stride_h": geometry.stride[0],
        "stride_w": geometry.stride[1],
        "top": geometry.before[0],
        "left": geometry.before[1],
    }


def lower_max_pool2d(builder: Builder, node: Node) -> None:
    """Lower max pooling with any window; pixels outside the map are left out."""
    geometry = Geometry.of(node, builder.shapes)
    window = _window(builder.get(node.inputs[0]), geometry)
    kernel = builder.kernel("maxpool_none_maps")
    builder.decide(node, "none", kernel)
    dilation_h, dilation_w = geometry.dilation
    out = builder.new_maps(node.output)
    builder.over_output(kernel, out, **window, dilation_h=dilation_h, dilation_w=dilation_w)


def lower_avg_pool2d(builder: Builder, node: Node) -> None:
    """Lower average pooling with any window; tables tell, by row and by column, how many pixels it counts."""
    geometry = Geometry.of(node, builder.shapes)
    window = _window(builder.get(node.inputs[0]), geometry)
    scales = {
        name: builder.constant(reciprocals(node, geometry, axis))
        for axis, name in enumerate(("scale_y", "scale_x"))
    }
    kernel = builder.kernel("avgpool_none_maps")
    builder.decide(node, "none", kernel)
    builder.over_output(kernel, builder.new_maps(node.output), **window, **scales)


def lower_global_avg_pool2d(builder: Builder, node: Node) -> None:
    """Lower global average pooling, with several threads for each image of each channel."""
    x, out = builder.get(node.inputs[0]), builder.new_maps(node.output)
    maps = x.maps
    threads = FEW if maps.image <= SMALL_IMAGE else MANY
    together = min(BLOCK // threads, maps.channels)
    kernel = builder.kernel("globalavgpool_none_maps", (threads, together))
    builder.decide(node, "none", kernel)
    builder.call(
        kernel, (maps.images, builder.across(maps.images, -(-maps.channels // together))), threads * together,
        x=x, x_image=maps.image, x_pitch=maps.pitch, pixels=maps.height * maps.width,
        channels=maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
    )  # fmt: skip


LOWER = {
    "max_pool2d": lower_max_pool2d,
    "avg_pool2d": lower_avg_pool2d,
    "global_avg_pool2d": lower_global_avg_pool2d,
}
