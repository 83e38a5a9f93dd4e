"""Rules for ONNX layers that see their input through windows: convolution and pooling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from converters.builder import Act, Site, Unsupported
from converters.decompose import depth
from converters.decompose.conv_transpose import conv_transpose
from converters.decompose.convolution import conv2d, same_padding
from converters.decompose.elementwise import scalar
from converters.decompose.pool_places import places_of_largest
from converters.decompose.pooling import average_by_convolution, avg_pool, max_pool, window_sum
from converters.decompose.shapes import image_size, reshape, sizes_of
from converters.decompose.tensors import reduce
from converters.decompose.unfold import unpool
from converters.decompose.window import Window
from converters.onnx.call import Call, Rule, per_image, two_dimensional


def _window(c: Call, kernel: list[int]) -> Window:
    """The window of a layer with such a kernel, auto_pad resolved."""
    rank = len(kernel)
    if rank not in (2, 3) or len(c.shape) != rank + 2:
        raise Unsupported(f"a kernel {kernel} does not fit a tensor of shape {c.shape}", "kernel_shape")
    stride, dilation = c.attrs.get("strides", [1] * rank), c.attrs.get("dilations", [1] * rank)
    mode = c.attrs.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        padding = same_padding(c.sizes[1:], kernel, stride, dilation, mode == "SAME_UPPER")
        return Window(kernel, stride, padding, dilation)
    padding = [0] * 2 * rank if mode == "VALID" else c.attrs.get("pads", [0] * 2 * rank)
    if {len(stride), len(dilation), len(padding) // 2} != {rank}:
        raise Unsupported(f"its attributes do not fit a kernel of {rank} directions", "strides")
    if min(padding) < 0:
        raise Unsupported("negative padding (cropping) is not supported", "pads")
    return Window(kernel, stride, padding, dilation)


def _conv(c: Call) -> Act:
    weight = c.const(1, "weight")
    assert weight is not None
    window, bias = _window(c, list(weight.array.shape[2:])), c.const(2, "bias")
    convolve = conv2d if len(window.kernel) == 2 else depth.conv3d
    return convolve(c.b, c.site, c.x, weight, bias, window, c.attrs.get("group", 1))


def _conv_transpose(c: Call) -> Act:
    weight, bias = c.const(1, "weight"), c.const(2, "bias")
    assert weight is not None
    kernel = list(weight.array.shape[2:])
    stride, dilation = c.attrs.get("strides", [1, 1]), c.attrs.get("dilations", [1, 1])
    extra = list(c.attrs.get("output_padding", [0, 0]))
    padding, mode = c.attrs.get("pads", [0, 0, 0, 0]), c.attrs.get("auto_pad", "NOTSET")
    size, target = image_size(c.b, c.x), c.attrs.get("output_shape")
    if target is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        target = [n * s for n, s in zip(size, stride, strict=True)]
    if target is not None:
        # As specified: excess is cut off on both sides, an odd rest in front unless SAME_UPPER.
        padding = [0, 0, 0, 0]
        for i in range(2):
            total = (size[i] - 1) * stride[i] + extra[i] + (kernel[i] - 1) * dilation[i] + 1 - target[-2:][i]
            extra[i] += max(0, -total)
            total = max(0, total)
            small, large = total // 2, total - total // 2
            padding[i], padding[i + 2] = (small, large) if mode == "SAME_UPPER" else (large, small)
    elif mode == "VALID":
        padding = [0, 0, 0, 0]
    window = Window(kernel, stride, padding, dilation)
    return conv_transpose(c.b, c.site, c.x, weight, bias, window, c.attrs.get("group", 1), extra)


def _max_pool(c: Call) -> Act | list[Act]:
    """The largest number of each window and, if asked for, its place in the whole tensor, flat."""
    y = _image(_max_pool_layer, with_depth=True)(replace(c, outputs=c.outputs[:1]))
    assert isinstance(y, Act)
    return [y, _places(c, y)] if len(c.outputs) > 1 and c.outputs[1] else y


def _max_pool_layer(c: Call) -> Act:
    window = _window(c, c.attrs["kernel_shape"])
    pool = max_pool if len(window.kernel) == 2 else depth.max_pool3d
    return pool(c.b, c.site, c.x, window, bool(c.attrs.get("ceil_mode", 0)))


def _places(c: Call, y: Act) -> Act:
    """Places of a max pooling, counted through channels and images, which are channels of one image here."""
    if not c.lead:
        raise Unsupported(
            "its second output counts across the batch (dimension 0); convert with batch='fixed'"
        )
    images, channels, *size = c.sizes
    if len(size) > 2:
        raise Unsupported("its second output is supported for one and two spatial dimensions")
    pooled = sizes_of(c.b, y)

    def layer(inner: Call) -> Act:
        windows = _window(inner, inner.attrs["kernel_shape"]).counted([1, *pooled[2:]][-2:])
        by_columns = bool(inner.attrs.get("storage_order", 0))
        return places_of_largest(inner.b, inner.site, inner.x, windows, by_columns)

    site = c.at("places")
    x = reshape(c.b, site.sub("image"), c.x, [images * channels, *size])
    found = two_dimensional(layer)(replace(c, inputs=[x], lead=0, static_batch=None, site=site.sub("found")))
    return reshape(c.b, Site(site.name, c.outputs[1]), found, pooled)


def _average_pool(c: Call) -> Act:
    window = _window(c, c.attrs["kernel_shape"])
    ceil_mode, counted = bool(c.attrs.get("ceil_mode", 0)), bool(c.attrs.get("count_include_pad", 0))
    dilated = set(window.dilation) != {1}
    if len(window.kernel) == 3:
        if dilated:
            raise Unsupported("averages over depth are supported without dilations", "dilations")
        return depth.avg_pool3d(c.b, c.site, c.x, window, ceil_mode, counted)
    if dilated:
        padded = _with_ceil_padding(c, window, counted) if ceil_mode else window
        return average_by_convolution(c.b, c.site, c.x, padded, counted)
    return avg_pool(c.b, c.site, c.x, window, ceil_mode, counted)


def _with_ceil_padding(c: Call, window: Window, counted: bool) -> Window:
    """A window with more padding behind the data, so that as many fit as ``ceil_mode`` asks for."""
    padding, stride = list(window.padding), window.stride
    for i, size in enumerate(image_size(c.b, c.x)):
        span = size + padding[i] + padding[i + 2] - window.dilation[i] * (window.kernel[i] - 1) - 1
        over = -span % stride[i]
        if over and counted:
            raise Unsupported(
                "dilated windows that count padding are not supported with ceil_mode", "ceil_mode"
            )
        if over and (span // stride[i] + 1) * stride[i] < size + padding[i]:
            padding[i + 2] += over
    return replace(window, padding=padding)


def _max_unpool(c: Call) -> Act:
    """Rule of MaxUnpool: numbers at the places that a max pooling found, counted through the whole tensor."""
    if not c.lead or len(c.shape) != 4:
        raise Unsupported(
            "its places count across the batch (dimension 0); images convert with batch='fixed'"
        )
    kernel, places = c.attrs["kernel_shape"], c.act(1)
    stride = c.attrs.get("strides", [1] * len(kernel))
    padding, (images, channels, *size) = c.attrs.get("pads", [0] * 4), c.sizes
    given = c.const(2, "output shape")
    out = [(n - 1) * s + k for n, s, k in zip(size, stride, kernel, strict=True)]
    if given is None:
        out = [n - padding[i] - padding[i + 2] for i, n in enumerate(out)]
    else:
        out = [int(n) for n in given.array.ravel()[-2:]]
    windows = Window(kernel, stride, padding, [1, 1]).counted(size)
    flat = [
        reshape(c.b, c.at(part), t, [images * channels, *size])
        for part, t in (("values", c.x), ("places", places))
    ]
    made = unpool(c.b, c.at("image"), flat[0], flat[1], windows, out, through_channels=True)
    return reshape(c.b, c.site, made, [images, channels, *out])


def _lp_pool(c: Call) -> Act:
    window, p = _window(c, c.attrs["kernel_shape"]), c.attrs.get("p", 2)
    if c.attrs.get("ceil_mode", 0):
        window = _with_ceil_padding(c, window, False)
    powers = c.x
    if p == 2:
        powers = c.binary("mul", c.x, c.x, "powers")
    else:
        powers = c.binary("pow", c.unary_at("abs", "abs"), scalar(p), "powers")
    total = window_sum(c.b, c.at("sum"), powers, window)
    if p == 2:
        return c.b.node("sqrt", c.site, [total.tensor])
    return c.binary("pow", total, scalar(1 / p))


def _global_pool(kind: str) -> Callable[[Call], Act]:
    def rule(c: Call) -> Act:
        return reduce(c.b, c.site, c.x, kind, range(2, len(c.shape)), True)

    return rule


def _global_lp_pool(c: Call) -> Act:
    p = c.attrs.get("p", 2)
    powers = c.binary("pow", c.unary_at("abs", "abs"), scalar(p), "powers")
    total = reduce(c.b, c.at("sum"), powers, "sum", range(2, len(c.shape)), True)
    return c.binary("pow", total, scalar(1 / p))


def _image(rule: Callable[[Call], Act], with_depth: bool = False) -> Callable[[Call], Act]:
    flat = two_dimensional(rule)
    return per_image(lambda c: rule(c) if with_depth and len(c.shape) == 5 else flat(c))


RULES: dict[str, Rule] = {
    "Conv": _image(_conv, with_depth=True),
    "ConvTranspose": _image(_conv_transpose),
    "MaxPool": _max_pool,
    "AveragePool": _image(_average_pool, with_depth=True),
    "MaxUnpool": _max_unpool,
    "LpPool": _image(_lp_pool),
    "GlobalAveragePool": per_image(_global_pool("mean")),
    "GlobalLpPool": per_image(_global_lp_pool),
    "GlobalMaxPool": per_image(_global_pool("max")),
}
