"""The figures at the head of a report, each in words that say what it is."""

from __future__ import annotations

from collections.abc import Mapping

from muxflow.dataflow.fit.deadlock import EXTRA_DEPTHS
from muxflow.dataflow.fit.fifo_sizing import MARGIN, MARGIN_SLACK
from muxflow.dataflow.quantities import count, counted, percent, rate, rounded, share, si
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import Accuracy


def accuracy_text(found: Accuracy) -> str:
    """Write an accuracy with its data set and number of images."""
    return f"{percent(found.share)} on {accuracy_source(found)}"


def accuracy_source(found: Accuracy) -> str:
    """Write what an accuracy was counted on: data set, split, number of images."""
    return f"{found.source}, {count(found.correct)} of {counted(found.images, 'image')}"


def summary(report: Report) -> list[tuple[str, str]]:
    """Return the figures that everybody reads as (title, text), each saying what it is."""
    rows = [
        ("network", f"{report.network}, {si(report.operations, 'MAC')} an image"),
        ("board", f"{report.board} ({report.part}) at {report.clock_mhz:g} MHz"),
    ]
    if report.accuracy:
        rows.append(("accuracy", accuracy_text(report.accuracy)))
    rows += [
        ("slowest node", f"{report.bottleneck}, {counted(report.slowest_cycles, 'cycle')} a frame (estimate)"),
        ("what binds", report.ceiling),
        ("interval", f"{counted(report.interval, 'cycle')} between frames ({report.interval_is})"),
        ("pipelined rate", f"{rate(report.frames_per_second)} ({report.interval_is})"),
        (
            "one-image latency",
            f"{count(report.latency)} cycles, {si(report.latency_us * 1e-6, 's')}; one image at a time "
            f"{rate(report.one_image_rate, 'images')} ({report.cycles_are})",
        ),
    ]
    rows += [(name, _used(report, name)) for name in report.used]
    if report.near_ties:
        rows.append(_near_ties(report))
    if report.remarks:
        rows.append(("remarks", report.remarks))
    return rows


def details(report: Report) -> list[tuple[str, str]]:
    """Return the further figures of the report's head, as `summary` does."""
    reserved = ", ".join(f"{count(amount)} {name}" for name, amount in report.reserve.items() if amount)
    rows = [
        ("shell and DMA", f"{reserved or 'nothing'} set aside, off the budget; {100 * report.sure:g} % sure to fit")
    ]
    if report.margins:
        rows.append(("FIFO margins", _margins(report.margins)))
    plan = report.memory_plan
    rows += [
        (
            "limits of the tools",
            f"widest stream {count(report.widest_stream_bits)} of {count(report.stream_bits_limit)} bits, largest loop body "
            f"{count(report.largest_unroll)} of {count(report.unroll_limit)} unrolled operations",
        ),
        ("stored parameters", f"{si(plan.parameter_bits, 'bit')} of weights and thresholds, each counted once"),
    ]
    if words := plan.loaded_words:
        bits = report.memory_bits["loaded"]
        time = si(words / (report.clock_mhz * 1e6), "s")
        rows.append(
            (
                "loading weights",
                f"{si(bits, 'bit')} in {count(words)} words, a cycle each: {time} at best, part of no frame",
            )
        )
    stored, uniform = report.weight_bits
    if stored < uniform:
        text = f"{si(stored, 'bit')}, {share(uniform - stored, uniform)} less than {si(uniform, 'bit')} of one grid a layer"
        rows.append(("hybrid banks", text))
    rows.append(
        ("energy", f"{rounded(report.microjoules)} µJ a frame (estimate, no measurement; {report.energy_source})")
    )
    if report.saved_bits:
        rows.append(("generated weights", f"{si(report.saved_bits, 'bit')} not stored"))
    if saved := plan.saved_threshold_bits:
        rows.append(("bit shifts", f"{si(saved, 'bit')} of thresholds not stored: a bias and a shift give the codes"))
    if not report.near_ties:
        rows.append(_near_ties(report))
    return rows


def _near_ties(report: Report) -> tuple[str, str]:
    number = f"{count(report.near_ties)} of {count(report.thresholds)}"
    return "thresholds near a tie", f"{number} (float32 summation order could decide them)"


def _used(report: Report, name: str) -> str:
    """Say what is used of a resource, with its interval where the estimate has one."""
    ends = report.between.get(name)
    between = f", 80 % interval {count(ends[0])}-{count(ends[1])}" if ends else ""
    used, budget = report.used[name], report.budget[name]
    return f"{count(used)} of {count(budget)} budgeted, {share(used, budget)} (estimate{between})"


def _margins(margins: Mapping[str, int]) -> str:
    """Say what the margins of the FIFOs cost, and what they are for."""
    cost = ", ".join(f"{margins[name]:+,} {name}" for name in ("LUT", "FF", "BRAM18"))
    return (
        f"{cost} against none (estimate), for no deadlock at +{max(EXTRA_DEPTHS)} stages and an interval within "
        f"{100 * (MARGIN_SLACK - 1):.0f} % at +{MARGIN}"
    )
