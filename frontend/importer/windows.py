"""The sliding windows that convolutions and pools ask for, of one to three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.frontend.importer.layout import Axes
from muxflow.frontend.model import ModelNode

SAME = ("SAME_UPPER", "SAME_LOWER")
"""Ways to pad so that a map keeps its size, strides aside."""


def window_of(node: ModelNode, kernel: tuple[int, ...], sizes: Sequence[int], groups: int) -> SlidingWindow:
    """Read the sliding window of a Conv or pool node from its attributes; `sizes`: of the map that it reads.

    Raises UnsupportedError for another way to pad, MuxflowError where an attribute has not one number for each axis.
    """
    rank = len(kernel)
    check_kernel(node, kernel)
    stride = numbers(node, "strides", rank, 1)
    dilation = numbers(node, "dilations", rank, 1)
    pads = numbers(node, "pads", 2 * rank, 0)
    auto = auto_pad(node)
    if auto == "VALID":
        pads = (0,) * (2 * rank)
    elif auto in SAME:
        _check_same(node, kernel, stride, dilation)
        pads = same_pads(auto, sizes, kernel, stride, dilation)
    check_padded_once(node, pads)
    return SlidingWindow(kernel, stride, dilation, pads, groups)


def auto_pad(node: ModelNode) -> str:
    """Return the way in which a node pads; raises UnsupportedError for one that ONNX has not."""
    auto = str(node.attributes.get("auto_pad", "NOTSET"))
    if auto not in ("NOTSET", "VALID", *SAME):
        raise UnsupportedError(f"{node.label}: auto_pad {auto!r}; supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    return auto


def check_padded_once(node: ModelNode, pads: Sequence[int]) -> None:
    """Raise UnsupportedError where `auto_pad`, which asks for `pads`, and the attribute `pads` stand together.

    The ONNX runtime refuses such a convolution, and takes a pool that has other numbers there in one way, others in another.
    """
    auto, given = auto_pad(node), tuple(node.attributes.get("pads", ()))
    if (
        auto == "NOTSET"
        or not given
        or (not node.op_type.startswith("Conv") and (not any(given) or given == tuple(pads)))
    ):
        return
    raise UnsupportedError(
        f"{node.label}: auto_pad {auto} and pads {given}, of which ONNX allows one: the ONNX runtime refuses the node or "
        "leaves pads out, others heed them; take one of both away"
    )


def _check_same(node: ModelNode, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> None:
    """Raise UnsupportedError where the ONNX runtime does not pad as the text of ONNX says, so that files mean two things.

    It leaves a pool's dilation out, and crops a map in front where windows lie further apart than they are wide. For a
    dilated convolution it gives no answer: there is the text alone.
    """
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    why = ""
    if node.op_type != "Conv" and max(dilation) > 1:
        why = f"with dilations {tuple(dilation)}"
    elif any(s > e + 1 for s, e in zip(stride, extent, strict=True)):
        why = f"with strides {tuple(stride)} over windows of {extent}"
    if why:
        raise UnsupportedError(
            f"{node.label}: auto_pad {node.attributes['auto_pad']} {why} is padded in one way by the ONNX runtime and in "
            "others by others; supported are `pads` in numbers: write those that you mean"
        )


def pads_itself(node: ModelNode) -> bool:
    """Tell whether a Conv or pool node pads its input, or may do so."""
    attributes = node.attributes
    return any(attributes.get("pads", ())) or attributes.get("auto_pad") in SAME or bool(attributes.get("ceil_mode", 0))


def same_pads(
    auto: str, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """Return the padding of one of `SAME`, before each axis and then after each, for a map of these sizes; never below 0."""
    halves = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        small, large = total // 2, total - total // 2
        halves.append((small, large) if auto == "SAME_UPPER" else (large, small))
    return tuple(before for before, _ in halves) + tuple(after for _, after in halves)


def whole_windows(kernel: tuple[int, ...], source: Stream) -> SlidingWindow:
    """Return windows of this size that lie side by side without padding; the map's own size is one window."""
    rank = len(kernel)
    return SlidingWindow(kernel, kernel, (1,) * rank, (0,) * (2 * rank), source.channels)


def with_padding(window: SlidingWindow, pads: Sequence[int], code: int) -> SlidingWindow:
    """Return the window with padding of a code around what it pads itself; the same where there is none."""
    if not any(pads):
        return window
    return replace(window, pads=tuple(map(sum, zip(window.pads, pads, strict=True))), pad_code=code)


def in_stream(label: str, window: SlidingWindow, axes: Axes) -> SlidingWindow:
    """Return the window over the axes of a stream, which may have other ones of size one than the model.

    On an axis that the stream has not, what a window reads beyond the one position there is left out.
    Raises UnsupportedError naming the node `label` where the window makes several positions of such an axis.
    """
    axes.check(label, window.output_size(*axes.sizes))
    kernel, stride, dilation = (
        axes.in_stream(numbers, 1) for numbers in (window.kernel, window.stride, window.dilation)
    )
    return SlidingWindow(kernel, stride, dilation, axes.in_stream(window.pads, 0), window.groups, window.pad_code)


def with_hanging_windows(window: SlidingWindow, sizes: Sequence[int]) -> SlidingWindow:
    """Return the window with the further padding after each axis that ceil_mode asks for; `sizes`: of the map."""
    rank = len(window.kernel)
    before, after = window.pads[:rank], window.pads[rank:]
    more = []
    for size, first, last, extent, stride in zip(sizes, before, after, window.extent, window.stride, strict=True):
        hanging = (extent - size - first - last) % stride
        # A window that would start after the map and its leading padding does not count.
        starts = size + first + last + hanging - extent
        more.append(hanging if starts < size + first else 0)
    return replace(window, pads=before + tuple(sum(pair) for pair in zip(after, more, strict=True)))


def numbers(node: ModelNode, name: str, count: int, least: int) -> tuple[int, ...]:
    """Read an attribute with one number an axis, each the least when absent.

    Raises MuxflowError where there are not `count`, or one is less.
    """
    given = tuple(int(number) for number in node.attributes.get(name, (least,) * count))
    if len(given) != count:
        raise MuxflowError(f"{node.label}: {name} {given}; they must be {count} numbers, as its input has such a rank")
    if min(given, default=least) < least:
        raise MuxflowError(f"{node.label}: {name} {given}; they must be at least {least}")
    return given


def check_kernel(node: ModelNode, kernel: tuple[int, ...]) -> None:
    """Raise MuxflowError where a node says another kernel than its weights have."""
    given = tuple(int(size) for size in node.attributes.get("kernel_shape", kernel))
    if given != kernel:
        raise MuxflowError(f"{node.label}: kernel_shape {given}, and its weights have a kernel of {kernel}")
