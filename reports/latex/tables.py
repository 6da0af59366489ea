"""The tables of a paper about one design; each caption says what its figures are."""

from __future__ import annotations

from muxflow.dataflow.quantities import rounded, si
from muxflow.reports.latex.tex import Cell, Column, TexTable, number, tex
from muxflow.reports.schema.derived import derived
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KIND_TITLES, KINDS, LayerRow
from muxflow.reports.schema.stages import IMPLEMENTED, SYNTHESISED, Stage


def subject(report: Report) -> str:
    """Say which design a table is of."""
    clock = number(report.clock_mhz, r"\mega\hertz", 6)
    return f"{tex(report.network)} on {tex(report.board)} ({tex(report.part)}) at {clock}"


def precision(bits: tuple[int, ...]) -> str:
    """Write the bits that occur: 2, or 2-8."""
    return "-" if not bits else str(bits[0]) if len(bits) == 1 else f"{bits[0]}-{bits[-1]}"


def precisions(report: Report, between: str = "/") -> str:
    """Write the bits of weights and of activations that occur."""
    return between.join(map(precision, (report.weight_precision, report.activation_precision)))


def design_tables(report: Report) -> list[TexTable]:
    """List the tables of one design, each for a column and for the page."""
    pairs = (summary_tables(report), layer_tables(report), stage_tables(report), memory_tables(report))
    return [table for pair in (*pairs, function_tables(report)) for table in pair]


def summary_tables(report: Report) -> tuple[TexTable, TexTable]:
    """Give the figures that everybody reads: down a column with what each is, and as one row."""
    counted, accuracy = report.counted, report.accuracy
    amounts = counted.used
    right = report.accuracy_percent
    rate_is = report.interval_is
    rows: list[tuple[Cell, ...]] = [
        ("operations", f"{si(report.operations, 'MAC')} a frame", "counted"),
        ("accuracy", None if right is None else f"{right:.2f} %", "" if accuracy is None else accuracy.basis),
        ("bits of weights / activations", precisions(report, " / "), "counted"),
        ("parameters", si(report.parameter_bits, "bit"), "weights and thresholds, each once"),
        ("generated weights", si(report.saved_bits, "bit"), "not stored"),
        *((name, f"{amounts[name]:,}", _basis(report, name)) for name in report.used if name in amounts),
        ("rate", f"{rounded(report.frames_per_second)} frames/s", rate_is),
        ("latency", si(report.latency_us * 1e-6, "s"), report.cycles_are),
        *((one.name, one.text, one.what) for one in derived(report)),
        (
            "slack",
            "not run" if report.slack_ns is None else f"{report.slack_ns:.3f} ns",
            report.stage(IMPLEMENTED).title if report.implemented else "implementation not run",
        ),
    ]
    narrow = TexTable(
        "summary",
        report.network,
        f"{subject(report)}: what each figure is stands beside it.",
        (Column("figure"), Column("value"), Column("what it is", fill=True, line=30)),
        tuple(rows),
    )
    numbers = ("LUT", "FF", "BRAM18", "DSP")
    columns = (
        Column("network", fill=True),
        Column("acc.\n(\\%)", number=True, places=2),
        Column("bits\nW/A"),
        Column("stored\n(bit)", number=True),
        Column("generated\n(bit)", number=True),
        *(Column(name, number=True) for name in numbers),
        Column("frames/s", number=True, digits=3),
        Column("latency\n($\\mu$s)", number=True, places=1),
    )
    row: tuple[Cell, ...] = (
        report.network,
        right,
        precisions(report),
        report.parameter_bits,
        report.saved_bits,
        *(amounts.get(name) for name in numbers),
        report.frames_per_second,
        report.latency_us,
    )
    ends = ", ".join(f"{name} {interval}" for name, interval in report.intervals.items())
    resources = f"{counted.title} (80 % interval: {ends})" if ends else counted.title
    caption = f"{subject(report)}. Resources: {tex(resources)}; rate and latency: {tex(rate_is)}"
    caption += "." if accuracy is None else f"; accuracy: {tex(accuracy.basis)}."
    return narrow, TexTable("summary", report.network, caption, columns, (row,), wide=True)


def _basis(report: Report, resource: str) -> str:
    """Say what the figure of a resource is, with its interval where it is an estimate that has one."""
    interval = report.intervals.get(resource)
    return f"{report.counted.title}, 80 % interval {interval}" if interval else report.counted.title


def layer_tables(report: Report) -> tuple[TexTable, TexTable]:
    """Give a row a layer: window, weights, matrix and thresholds together."""
    resources = ("LUT", "BRAM18")

    def short(layer: LayerRow) -> tuple[Cell, ...]:
        products = None if layer.matrix is None else layer.matrix.parallel
        rest = (layer.cycles, _efficiency(report, layer), layer.lut, layer.bram18)
        return (layer.name, layer.macs or None, products, *rest)

    def full(layer: LayerRow) -> tuple[Cell, ...]:
        one = layer.matrix
        known: tuple[Cell, ...] = (None,) * 3
        if one is not None:
            known = (one.kernel.partition(",")[0] or "1x1", one.groups, f"{one.weight_bits}/{one.input_bits}")
        folds = (None,) * 4 if one is None else (one.pe, one.simd, one.parallel, one.initiation_interval)
        rest = (layer.cycles, _efficiency(report, layer), layer.lut, layer.bram18)
        return (layer.name, layer.shape, *known, layer.macs or None, *folds, *rest)

    macs, products = Column("MAC", number=True), Column("MAC/\ncycle", number=True)
    costs = (
        Column("cycles", number=True),
        Column("eff.\n(\\%)", number=True),
        *(Column(name, number=True) for name in resources),
    )
    total = (report.operations, report.products, report.interval, report.efficiency)
    share = None if total[3] is None else 100 * total[3]
    used = tuple(report.used[name] for name in resources)
    is_what = (
        f"{subject(report)}. A layer is its window, weights, matrix and thresholds; cycles of its slowest node, "
        "resources, folds: estimate. MAC/cycle: products at once, PE times SIMD times the groups and the pixels side by side. "
        f"Efficiency: the share of them that are MACs of the network at the interval of {number(report.interval)} "
        f"cycles ({tex(report.interval_is)})."
    )
    narrow = TexTable(
        "layers",
        report.network,
        is_what,
        (Column("layer", fill=True), macs, products, *costs),
        tuple(map(short, report.layers)),
        (("total", report.operations, report.products or None, report.interval, share, *used),),
    )
    columns = (
        Column("layer", fill=True),
        Column("output"),
        Column("K"),
        Column("gr.", number=True),
        Column("bits\nW/A"),
        macs,
        Column("PE", number=True),
        Column("SIMD", number=True),
        products,
        Column("II", number=True),
        *costs,
    )
    folds = (None, None, report.products or None, None)
    totals = ("total", None, None, None, None, report.operations, *folds, report.interval, share, *used)
    return narrow, TexTable(
        "layers", report.network, is_what, columns, tuple(map(full, report.layers)), (totals,), True
    )


def _efficiency(report: Report, layer: LayerRow) -> float | None:
    share = layer.efficiency(report.interval)
    return None if share is None else 100 * share


def stage_tables(report: Report) -> tuple[TexTable, TexTable]:
    """Give what each stage counts, as number and per cent of the device, with the error of the estimate."""
    stages = [stage for stage in report.stages if stage.used]
    missing = "; ".join(f"{stage.name}: {stage.state}" for stage in report.stages if stage.state != "done")

    def compared(stage: Stage) -> bool:
        return stage.name in (SYNTHESISED, IMPLEMENTED)

    def cells(stage: Stage, name: str, *, error: bool) -> tuple[Cell, ...]:
        amount, whole = stage.used.get(name), report.available.get(name)
        share = 100 * amount / whole if amount is not None and whole else None
        off = report.error(name, stage)
        return (amount, share, *((None if off is None else 100 * off,) if error and compared(stage) else ()))

    def table(wide: bool) -> TexTable:
        columns = [Column("resource", fill=True)]
        for stage in stages:
            columns += [Column(_stage_heading(stage, wide), number=True), Column(r"\%", number=True, places=1)]
            columns += [Column("err.\n(\\%)", number=True, places=1)] if wide and compared(stage) else []
        rows = tuple(
            (name, *(cell for stage in stages for cell in cells(stage, name, error=wide))) for name in report.used
        )
        rest = f" {tex(missing)}." if missing else ""
        caption = f"{subject(report)}: resources by stage, as number and per cent of the device.{rest}"
        return TexTable("stages", report.network, caption, tuple(columns), rows, wide=wide)

    return table(False), table(True)


def _stage_heading(stage: Stage, wide: bool) -> str:
    """Write a stage above its column, with its tool in a line of its own where there is room."""
    name = "\n".join(tex(part) for part in stage.name.split(", "))
    return "\n".join([name, *map(tex, stage.tool.rsplit(" ", 1))]) if wide and stage.tool else name


def memory_tables(report: Report) -> tuple[TexTable, TexTable]:
    """Give the memory budget by kind, generated weights apart."""
    kinds = [one for one in report.memory_plan.totals(KINDS) if one.bits]
    caption = (
        f"{subject(report)}: memory. Bits: counted; block RAM, LUTs and flip-flops: estimate. Generated weights are made "
        "by cellular automata and not stored."
    )
    generated = (("generated, not stored", report.saved_bits),) if report.saved_bits else ()
    few = (
        Column("kind", fill=True),
        Column("bits", number=True),
        Column("BRAM18", number=True),
        Column("LUT", number=True),
    )
    many = (
        *few[:2],
        Column("in primitives of", number=True),
        *few[2:],
        Column("FF", number=True),
        Column("URAM", number=True),
    )
    narrow = tuple((KIND_TITLES[one.kind], one.bits, one.bram18, one.lut) for one in kinds)
    wide = tuple(
        (KIND_TITLES[one.kind], one.bits, one.occupied, one.bram18, one.lut, one.ff, one.uram) for one in kinds
    )

    def ended(width: int) -> tuple[tuple[Cell, ...], ...]:
        return tuple((*row, *(None,) * (width - len(row))) for row in generated)

    name = report.network
    return (
        TexTable("memory", name, caption, few, narrow, ended(len(few))),
        TexTable("memory", name, caption, many, wide, ended(len(many)), True),
    )


def function_tables(report: Report) -> tuple[TexTable, TexTable]:
    """Give LUTs and block RAM by function."""
    caption = f"{subject(report)}: resources by function (estimate)."
    names = ("LUT", "FF", "BRAM18", "DSP", "URAM")

    def table(chosen: tuple[str, ...], wide: bool) -> TexTable:
        columns = (Column("function", fill=True), Column("number", number=True))
        rows = tuple(
            (row.function, row.count, *(getattr(row, name.lower()) for name in chosen)) for row in report.functions
        )
        total = ("total", None, *(report.used.get(name) for name in chosen))
        every = (*columns, *(Column(name, number=True) for name in chosen))
        return TexTable("functions", report.network, caption, every, rows, (total,), wide)

    return table(("LUT", "BRAM18"), False), table(tuple(name for name in names if name in report.used), True)
