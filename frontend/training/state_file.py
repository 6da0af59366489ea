"""Files of PyTorch's that hold tensors: written whole, read as hostile input."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from muxflow.dataflow.limits import check_bytes, check_elements
from muxflow.dataflow.outputs import write_below
from muxflow.dataflow.text import shown

Network = TypeVar("Network", bound=nn.Module)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and what describes them as a file of PyTorch's, whole or not at all; it takes the place of a link."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_below(path.parent, {path.name: buffer.getvalue()})


def read_state(path: Path) -> dict[str, Any]:
    """Read what `torch.save` wrote of a dictionary, plain values and tensors only; runs no code of the file.

    Raises MuxflowError for a file that takes too much memory, and whatever else a damaged one raises.
    """
    if not path.is_file():
        raise ValueError("it is no file")
    with zipfile.ZipFile(path) as archive:  # what is in one compressed says how large it is before it is read
        check_bytes(str(path), sum(entry.file_size for entry in archive.infolist()))
        damaged = archive.testzip()  # PyTorch reads over a wrong checksum
    if damaged is not None:
        raise ValueError(f"the checksum of {shown(damaged)} does not fit")
    try:
        state = torch.load(path, weights_only=True)
    except pickle.UnpicklingError:  # PyTorch advises to run what the file holds
        raise ValueError("it holds more than plain values and tensors, or is damaged") from None
    if not isinstance(state, dict):
        raise ValueError(f"it holds {type(state).__name__}, expected a dictionary")
    return state


def restored(build: Callable[[], Network], state: Any) -> Network:
    """Build a network and give it the tensors of a state, in evaluation mode.

    The state must hold all that the network has, in its shapes and types, floats finite. A network of more parameters than
    the state holds elements is not built. Raises ValueError, and whatever `build` and PyTorch raise.
    """
    tensors = _plain(state)
    with _no_more_than(check_elements("its tensors", sum(tensor.numel() for tensor in tensors.values()))):
        network = build()
    fill(network, tensors)
    network.eval()
    return network


def fill(network: nn.Module, state: Any) -> None:
    """Give a network the tensors of a state: all that it has, in its shapes and types, floats finite.

    Raises ValueError, and whatever PyTorch raises.
    """
    tensors = _plain(state)
    for name, own in network.state_dict().items():
        given = tensors.get(name)
        if given is None or given.shape != own.shape or given.dtype != own.dtype:
            met = "is absent" if given is None else f"is {given.dtype} of shape {tuple(given.shape)}"
            raise ValueError(f"{name} {met}; expected {own.dtype} of shape {tuple(own.shape)}")
        check_finite(name, given)
    network.load_state_dict(tensors)


def _plain(state: Any) -> dict[str, Tensor]:
    tensors = dict(state) if isinstance(state, Mapping) else {}
    for name, tensor in tensors.items():
        check_plain(name, tensor)
    return tensors


def check_plain(name: object, tensor: object) -> None:
    """Raise ValueError for what is no tensor, or one of another layout or device."""
    if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided or tensor.device.type != "cpu":
        raise ValueError(f"{shown(name)} holds no plain tensor")


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise ValueError for a tensor of which a number is not finite."""
    if not tensor.isfinite().all():
        raise ValueError(f"{name} holds numbers that are not finite")


@contextmanager
def _no_more_than(most: int) -> Iterator[None]:
    """Let networks that are built in the block get `most` elements of parameters; a layer asks before it fills them."""
    left = most

    def take(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal left
        left -= 0 if parameter is None else parameter.numel()
        if left < 0:
            raise ValueError(f"a network of more parameters than the {most:,} numbers that its file holds")

    handle = register_module_parameter_registration_hook(take)
    try:
        yield
    finally:
        handle.remove()
