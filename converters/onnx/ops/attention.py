"""The rule for ONNX's Attention."""

from __future__ import annotations

from converters.builder import Act, Const, Unsupported, Value
from converters.decompose.attention import Mask, attention, repeated_heads, window
from converters.decompose.shapes import BATCH_HINT, reshape, transpose
from converters.onnx.call import Call, Rule


def _attention(c: Call) -> list[Value]:
    """Attention of tensors (N, heads, n, width), or (N, n, heads · width); gives the keys and values, too."""
    if any(c.get(i) is not None for i in range(4, len(c.inputs))):
        raise Unsupported("attention over keys of an earlier run (past_key, past_value) is not supported")
    flat = len(c.shape) == 3
    heads = [c.attrs[name] for name in ("q_num_heads", "kv_num_heads", "kv_num_heads")] if flat else [0] * 3
    parts = ("queries", "keys4", "values4")
    query, key, value = (
        _by_heads(c, part, c.act(i), heads[i]) if flat else c.act(i) for i, part in enumerate(parts)
    )
    count, rows = (int(d or 1) for d in c.shape_of(query)[1:3])
    keys, values = (
        repeated_heads(c.b, c.at(part), side, count)
        for part, side in (("shared_keys", key), ("shared_values", value))
    )
    masks = _given_mask(c)
    left, right = (int(c.attrs.get(f"{side}_window_size", -1)) for side in ("left", "right"))
    if c.attrs.get("is_causal", 0):
        right = 0
    if max(left, right) >= 0:
        masks.append(window(rows, int(c.shape_of(key)[2] or 1), left, right))
    made = attention(
        c.b,
        c.at("heads") if flat else c.site,
        (query, keys, values),
        scale=c.attrs.get("scale"),
        masks=masks,
        softcap=c.attrs.get("softcap", 0.0),
        lead=c.lead,
    )
    return [_side_by_side(c, made) if flat else made, key, value]


def _by_heads(c: Call, part: str, x: Act, heads: int) -> Act:
    *front, rows, width = (int(d or 0) for d in c.b.shapes[x.tensor][1:])
    apart = reshape(c.b, c.at(part).sub("apart"), x, [*front, rows, heads, width // heads])
    rank = c.lead + 4
    return transpose(c.b, c.at(part), apart, [*range(rank - 3), rank - 2, rank - 3, rank - 1])


def _side_by_side(c: Call, x: Act) -> Act:
    rank = c.lead + 4
    transposed = transpose(c.b, c.at("transposed"), x, [*range(rank - 3), rank - 2, rank - 3, rank - 1])
    *front, rows, heads, width = (int(d or 0) for d in c.b.shapes[transposed.tensor][1:])
    return reshape(c.b, c.site, transposed, [*front, rows, heads * width])


def _given_mask(c: Call) -> list[Mask]:
    given = c.get(3)
    if given is None:
        return []
    mask = c.operand(3)
    if isinstance(mask, Const):
        array = mask.array
        return [Mask(Const(array.reshape(*[1] * (4 - array.ndim), *array.shape)), array.dtype == bool)]
    if not c.lead and len(c.shape_of(mask)) < 4:
        raise Unsupported(BATCH_HINT)
    return [Mask(mask, c.logical)]


RULES: dict[str, Rule] = {"Attention": _attention}
