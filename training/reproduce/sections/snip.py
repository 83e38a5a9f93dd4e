"""Paper 2: table 2, the survivors of each layer (figure 3) and the losses (figure 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from training.report.numbers import number
from training.reproduce.figures import COLOURS, Line, Picture, Plot, draw, line_plots
from training.reproduce.plan import SNIP_METHODS, SNIP_VARIANTS
from training.reproduce.published import DETECTION
from training.reproduce.results import Result, read_result
from training.reproduce.sections.section import Section, latencies
from training.reproduce.settings import Settings
from training.reproduce.snip import keeps_backbone
from training.reproduce.tables import SPEED, Column, Row, Table, count, percent, speed_of

TITLES = {
    "unpruned": "without pruning",
    "snip": "pruned (SNIP)",
    "modified-snip": "pruned (modified SNIP)",
}
AP = ("easy", "medium", "hard")
COLUMNS = [
    Column("model", "model"),
    *(Column(f"ap_{name}", f"AP {name} %", percent()) for name in AP),
    *(Column(f"paper_ap_{name}", f"AP {name} %", percent(), theirs=True) for name in AP),
    Column("parameters", "parameters, ResNet-50", count),
    Column("paper_parameters", "parameters", count, theirs=True),
    Column("context", "of them context", count),
    Column("trained_parameters", "parameters, trained model", count),
    *SPEED,
]
LAYER_COLUMNS = [
    Column("layer", "layer"),
    Column("weights", "weights", count),
    *(Column(f"{m}_kept", f"kept, {TITLES[m]}", count) for m in SNIP_METHODS),
    *(Column(f"{m}_share", f"kept %, {TITLES[m]}", percent()) for m in SNIP_METHODS),
]


def build(settings: Settings, folder: Path) -> Section:
    """The section from the results in ``folder``."""
    counted = {m: read_result(folder / "snip" / f"count-{m}.json") for m in SNIP_METHODS}
    trained = {v: read_result(folder / "snip" / f"trained-{v}.json") for v in SNIP_VARIANTS}
    rows = _rows(counted, trained, latencies(folder, "snip"))
    layers = _layers(counted)
    asked = settings.snip
    frozen = "pre-trained and frozen" if keeps_backbone(asked) else "random at first and trained"
    faces = (
        f"WIDERFACE's validation set at {asked.size} × {asked.size}"
        if asked.data
        else f"{trained['snip']['images']} drawn scenes, where every face counts as easy, medium and hard"
    )
    caption = (
        "“Parameters, ResNet-50”: convolution weights of pyramid and context modules in RetinaFace with ResNet-50, "
        f"what the paper counts; SNIP looked at one batch of {asked.batch_size} images. AP and times are of "
        f"{asked.model}, {asked.epochs} epochs at {asked.size} × {asked.size}, its backbone {frozen}, "
        f"run by the engine; AP on {faces}. Grey: the paper, ResNet-50 on WIDERFACE."
    )
    return Section(
        "snip",
        "SNIP on RetinaFace",
        "Weights go before training, by how little the loss would notice; modified SNIP spares the context branches.",
        _findings(counted, rows, layers),
        [
            Table("snip-table2", "Table 2: parameters and average precision", COLUMNS, rows, caption),
            Table(
                "snip-survivors",
                "Figure 3 in numbers: what is left of each layer",
                LAYER_COLUMNS,
                layers,
                "RetinaFace with ResNet-50; the paper gives no numbers.",
            ),
        ],
        [_survivors(layers), _losses(trained)],
    )


def _rows(
    counted: Mapping[str, Result], trained: Mapping[str, Result], measured: Mapping[str, Result]
) -> list[Row]:
    rows: list[Row] = []
    for variant, result in trained.items():
        theirs = DETECTION[variant]
        layers = counted.get(variant, counted["snip"])
        context = [one for one in layers["layers"] if ".context." in one["layer"]]
        whole = variant == "unpruned"
        rows.append(
            {
                "model": TITLES[variant],
                **{f"ap_{name}": result[f"ap_{name}"] for name in AP},
                **{f"paper_ap_{name}": getattr(theirs, name) for name in AP},
                "parameters": layers["total"] if whole else layers["kept"],
                "paper_parameters": theirs.parameters,
                "context": sum(one["weights"] if whole else one["kept"] for one in context),
                "trained_parameters": result["kept"],
                "bytes": result["bytes"],
                **speed_of(measured.get(result["file"])),
            }
        )
    return rows


def _layers(counted: Mapping[str, Result]) -> list[Row]:
    rows: list[Row] = []
    for position, layer in enumerate(counted["snip"]["layers"]):
        row = {"layer": layer["layer"], "weights": layer["weights"]}
        for method, result in counted.items():
            kept = result["layers"][position]["kept"]
            row[f"{method}_kept"] = kept
            row[f"{method}_share"] = kept / layer["weights"]
        rows.append(row)
    return rows


def _findings(counted: Mapping[str, Result], rows: Sequence[Row], layers: Sequence[Row]) -> list[str]:
    snip, modified = counted["snip"], counted["modified-snip"]
    least = min(layers, key=lambda row: row["snip_share"])
    most = max(layers, key=lambda row: row["snip_share"])
    pyramid, context = (_share(layers, prefix) for prefix in ("fpn.", "ssh."))
    counts = (
        f"Exactly the paper's counts: {number(snip['total'])} weights, {number(snip['kept'])} of them kept; modified "
        f"SNIP keeps {number(modified['kept'])}, all {number(modified['whole'])} of the context branches among them."
    )
    shares = (
        f"SNIP keeps {pyramid:.0%} of the pyramid and {context:.0%} of the context modules; the most in "
        f"{most['layer']} ({most['snip_share']:.0%}), the least in {least['layer']} ({least['snip_share']:.1%})."
    )
    quality = ", ".join(f"{row['model']} {row['ap_easy']:.1%}" for row in rows)
    return [counts, shares, f"Average precision (easy) of what was trained: {quality}."]


def _share(layers: Sequence[Row], prefix: str) -> float:
    own = [row for row in layers if row["layer"].startswith(prefix)]
    return float(sum(row["snip_kept"] for row in own) / sum(row["weights"] for row in own))


def _survivors(layers: Sequence[Row]) -> Picture:
    def paint(axes: list[Axes]) -> None:
        axis = axes[0]
        places = range(len(layers))
        for offset, (method, colour) in zip(
            (-0.2, 0.2), zip(SNIP_METHODS, COLOURS, strict=False), strict=True
        ):
            axis.bar(
                [p + offset for p in places], [row[f"{method}_share"] * 100 for row in layers], 0.4,
                color=colour, label=TITLES[method],
            )  # fmt: skip
        axis.set_xticks(list(places), [row["layer"] for row in layers], rotation=60, ha="right", fontsize=7)
        axis.set_ylabel("weights left, %")
        axis.grid(visible=False, axis="x")
        axis.legend(fontsize=8)

    return Picture(
        "snip-survivors",
        "Weights that are left in each layer of RetinaFace with ResNet-50, from the backbone to the heads: figure 3 of "
        "the paper.",
        draw(11.5, 3.9, 1, paint),
        wide=True,
    )


def _losses(trained: Mapping[str, Result]) -> Picture:
    lines = [
        Line(TITLES[v], [e["epoch"] for e in r["training"]], [e["loss"] for e in r["training"]])
        for v, r in trained.items()
    ]
    plot = Plot(lines, "epoch", "multitask loss", whole_x=True)
    return line_plots("snip-loss", "Training loss, mean of each epoch: figure 4 of the paper.", [plot])
