"""What a Keras file says it will build, read and checked before Keras builds it; runs in the processes that hold Keras.

Keras calls whatever a file names: a Lambda layer holds code, others open files or call functions by name. So every class must
be one of those that the process knows and that only compute, from a package that the process has imported anyway.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.files import MOST_TEXT, parse_json
from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.text import shown

CONFIG, WEIGHTS, ATTRIBUTE = "config.json", "model.weights.h5", "model_config"
TRAINING = "compile_config"
"""Of the training, which Keras is told to leave out; inside models it is read."""
PACKAGES = frozenset(("keras", "tf_keras", "qkeras", "hgq", "quantizers", "muxflow"))
Call = tuple[str, Any]
"""A call of a layer, and the tensor that it gives: the layer's name and which of its calls."""
INPUT = "InputLayer"
"""The layer whose tensor is there without a call."""
MARKERS = frozenset(
    "Functional Sequential Model __keras_tensor__ __tensor__ __numpy__ __bytes__ __ellipsis__ __slice__".split()
)
"""Names under which files keep models and plain values."""
CODE = frozenset(
    "Lambda __lambda__ function TFOpLambda SlicingOpLambda ClassMethod InstanceMethod InstanceProperty "
    "TensorFlowOpLayer TorchModuleWrapper TFSMLayer JaxLayer FlaxLayer __typespec__ TypeSpec "
    "TextVectorization StringLookup IntegerLookup IndexLookup Hashing".split()
)
"""Classes of Keras that run code from the file, call functions by name or open other files."""
HGQ1 = re.compile(r"HGQ[.>].*|H(Dense|Conv\dD)(BatchNorm)?|H(Quantize|Activation|Add)")
"""How files name what is of HGQ 1: its package, and its layers without it."""
ADVICE = "use layers of Keras, QKeras, HGQ2 and Muxflow that compute with arrays only (Add, Activation, Rescaling, ...)"


def check_architecture(path: Path, known: Callable[[], frozenset[str]]) -> None:
    """Raise unless a model file builds nothing but classes in `known` that only compute, of a bounded size.

    Raises UnsupportedError naming the layer and its class, MuxflowError for too many bytes, data that stand in other files
    or a call on a tensor that no layer gives, and whatever the file's parts raise when they are damaged. A file that holds
    no architecture passes.
    """
    names: frozenset[str] = frozenset()
    for config in _architectures(path):
        names = names or known() | MARKERS
        whole = {key: part for key, part in config.items() if key != TRAINING} if isinstance(config, dict) else config
        for entry, within in _entries(whole, ""):
            where = f"model {path}: {within or 'the model'}"
            _check_class(where, entry, names)
            check_calls(where, entry.get("config"))


def _architectures(path: Path) -> Iterator[Any]:
    """Read the architectures in a file, with its sizes checked on the way: it may be a zip and an HDF5 file at once."""
    what = f"model {path}"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            check_bytes(what, sum(sizes.values()))
            if WEIGHTS in sizes:
                with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
                    _check_data(what, file)
            if sizes.get(CONFIG, 0) > MOST_TEXT:
                raise MuxflowError(
                    f"{what}: {CONFIG} of {sizes[CONFIG]:,} bytes; at most {MOST_TEXT:,} (MOST_TEXT) are supported"
                )
            if CONFIG in sizes:
                yield parse_json(archive.read(CONFIG))
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            _check_data(what, file)
            if ATTRIBUTE in file.attrs:
                text = file.attrs[ATTRIBUTE]
                if not isinstance(text, str | bytes):
                    raise ValueError(f"its {ATTRIBUTE} is no text")
                yield parse_json(text)


def _check_data(what: str, file: h5py.File) -> None:
    """Raise MuxflowError where the data sets would take too much memory, or stand in other files."""

    def elsewhere(name: str, link: Any) -> str | None:
        return None if isinstance(link, h5py.HardLink) else name

    stray = file.visititems_links(elsewhere)
    if stray is not None:
        raise MuxflowError(f"{what}: {stray} is a link to another place; save the model again with model.save")
    data: list[h5py.Dataset] = []
    file.visititems(lambda _, found: data.append(found) if isinstance(found, h5py.Dataset) else None)
    for one in data:
        if one.external or one.is_virtual:
            raise MuxflowError(f"{what}: its data set {one.name} stands in another file; save the model in one file")
    check_bytes(what, sum(one.size * one.dtype.itemsize for one in data))


def names_of(keras: Any, more: Mapping[str, Any]) -> frozenset[str]:
    """List the classes and functions of a Keras that files may name, those that are registered with it, and `more`."""
    parts = ("layers", "initializers", "regularizers", "constraints", "activations", "optimizers", "losses", "metrics")
    own = (name for part in parts for name in dir(getattr(keras, part)))
    return frozenset(_plain(name) for name in (*own, *keras.utils.get_custom_objects(), *more))


def _plain(name: str) -> str:
    """Return the name of a class without that of the package that it is registered for, which stands before a ">"."""
    return name.rsplit(">", 1)[-1]


def _entries(value: Any, within: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every description of an object, with the layer that it stands in."""
    if isinstance(value, dict):
        if "class_name" in value:
            config = value.get("config")
            own = config.get("name") if isinstance(config, dict) else None
            within = own if isinstance(own, str) else within
            yield value, within
        for key, part in value.items():
            yield from _entries(part, within)
            if isinstance(part, str) and key.endswith(("activation", "quantizer")):
                # QKeras calls what stands before the bracket.
                yield {"class_name": part.split("(")[0]}, within
    elif isinstance(value, list):
        for part in value:
            yield from _entries(part, within)


def _check_class(where: str, entry: dict[str, Any], names: frozenset[str]) -> None:
    full = entry["class_name"]
    package = entry.get("module")
    if any(HGQ1.fullmatch(str(name)) for name in (full, f"{package}.", entry.get("registered_name"))):
        raise UnsupportedError(
            f"{where} has a {shown(full)}, a layer of HGQ 1, which is not read; build the network with HGQ2, its successor, "
            "and save it with Keras 3 (docs/guide/hgq.md)"
        )
    if isinstance(full, str) and _plain(full) in CODE:
        raise UnsupportedError(
            f"{where} has a {shown(full)}, which runs code that the file brings; it is not read: {ADVICE}"
        )
    own = package is None or (isinstance(package, str) and package.split(".")[0] in PACKAGES)
    if not own or not isinstance(full, str) or _plain(full) not in names:
        origin = f" of {shown(package)}" if package else ""
        raise UnsupportedError(f"{where} has a {shown(full)}{origin}, which is not known; {ADVICE}")


def check_calls(where: str, config: Any) -> None:
    """Raise MuxflowError naming a layer that a model calls on a tensor that no layer before gives, or that is there twice.

    Keras 2 waits for such calls for ever. A call is named by its layer and its number among those of that layer; of a model
    inside they count from 0 or from 1.
    """
    layers = config.get("layers") if isinstance(config, dict) else None
    found = [layer for layer in (layers if isinstance(layers, list) else ()) if isinstance(layer, dict)]
    named = [layer for layer in found if isinstance(layer.get("name"), str)]
    (name, count), *_ = Counter(layer["name"] for layer in named).most_common(1) or [("", 0)]
    if count > 1:
        raise MuxflowError(
            f"{where}: {count} of its layers are called {shown(name)}; save the model again with model.save"
        )
    calls = {layer["name"]: layer.get("inbound_nodes") for layer in named}
    needs = {
        (name, number): set(_tensors(node, calls))
        for name, nodes in calls.items()
        for number, node in enumerate(nodes if isinstance(nodes, list) else ())
    }
    models = {layer["name"] for layer in named if "layers" in layer.get("config", ())}
    inputs = [(layer["name"], 0) for layer in named if layer.get("class_name") == INPUT]
    for name, _ in _never_made(needs, inputs, models):
        raise MuxflowError(
            f"{where}: its layer {shown(name)} is called on a tensor that no layer before it gives; save the model again with "
            "model.save"
        )


def _never_made(needs: Mapping[Call, set[Call]], inputs: list[Call], models: set[str]) -> list[Call]:
    """List the calls that wait for ever, in order; takes time in proportion to what all calls read.

    `needs`: the calls whose tensors each call reads; `inputs`: tensors that are there without a call; `models`: the layers
    whose calls may count from 1.
    """
    waiting = {call: len(needed) for call, needed in needs.items() if needed}
    readers: dict[Call, list[Call]] = {}
    for call, needed in needs.items():
        for tensor in needed:
            readers.setdefault(tensor, []).append(call)
    made = [*inputs, *(call for call in needs if call not in waiting)]
    while made:
        name, number = made.pop()
        for tensor in ((name, number), (name, number + 1)) if name in models else ((name, number),):
            for call in readers.pop(tensor, ()):
                waiting[call] -= 1
                if not waiting[call]:
                    del waiting[call]
                    made.append(call)
    return list(waiting)


def _tensors(value: Any, layers: Mapping[str, Any]) -> Iterator[Call]:
    """Yield the calls whose tensors a call reads, as layer and number: a list of both and an output, wherever it stands."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part, layers)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and value[0] in layers and isinstance(value[2], int):
            yield value[0], value[1] if isinstance(value[1], int) else None
        for part in value:
            yield from _tensors(part, layers)
