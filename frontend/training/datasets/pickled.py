"""Dictionaries of arrays of bytes as Python and NumPy pickle them: what is read of such a file, and nothing else."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import plainly, shown
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.training.datasets.dataset import Bytes

MOST_STEPS = 1 << 20
"""Steps of a pickle, and objects that it may number (decision): CIFAR-100's 50,000 images take a quarter of it."""
MOST_TUPLES = 1 << 14
"""Tuples of a pickle (decision): as many may stand in each other, and Python hashes them one in the other."""
WORD = 1 << 32
"""What whole numbers of a pickle are below: equal hashes of larger ones make a dictionary slow."""
OBJECTS = "NONE NEWTRUE NEWFALSE EMPTY_DICT DICT EMPTY_LIST LIST SETITEM SETITEMS APPEND APPENDS GLOBAL STACK_GLOBAL REDUCE BUILD"
TEXTS = "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8"
BYTES = "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
NUMBERS = frozenset("INT BININT BININT1 BININT2 LONG LONG1".split())
TUPLES = frozenset("EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3".split())
PLACES, FETCHES = frozenset("PUT BINPUT LONG_BINPUT".split()), frozenset("GET BINGET LONG_BINGET".split())
STEPS = TUPLES | PLACES | NUMBERS | FETCHES | set(f"PROTO FRAME MARK MEMOIZE STOP {OBJECTS} {TEXTS} {BYTES}".split())
"""Of pickles, the steps that make dictionaries, lists, texts, whole numbers and arrays of bytes."""


class _Kind:
    """Stands for NumPy's type of elements, of which a batch holds only bytes."""

    def __init__(self, name: object, *_: object) -> None:
        if name not in ("u1", "uint8"):
            raise pickle.UnpicklingError(f"it holds an array of type {shown(name)}; expected u1")

    def __setstate__(self, _: object) -> None:
        """Take nothing from the file: bytes have no order, no fields and no flags."""


class _Unpickler(pickle.Unpickler):
    """An unpickler of arrays of bytes and plain containers, which refuses every other name: a pickle can run any code.

    NumPy's own functions are not called: they take objects' addresses and the layout of types from the file.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        left = len(data)

        def latin1(text: str, encoding: str) -> bytes:
            """Turn a text into the bytes that it stands for; all of them together are no more than the file."""
            nonlocal left
            if encoding != "latin1":
                raise pickle.UnpicklingError(f"it holds bytes as text in {shown(encoding)}; expected latin1")
            left -= len(text)
            if left < 0:
                raise pickle.UnpicklingError("it makes more bytes than it holds")
            return text.encode("latin1")

        class Array:
            """Stands for an array that a pickle makes first and fills then; `values`: what it is filled with."""

            values: Bytes = np.empty(0, np.uint8)

            def __setstate__(self, state: tuple[object, tuple[int, ...], object, object, bytes | str]) -> None:
                """Fill it: version, shape, type of elements, whether the first axis is the inner one, elements."""
                _, shape, _, first_inner, data = state
                self.values = filled(
                    latin1(data, "latin1") if isinstance(data, str) else data, None, shape, first_inner
                )

        def filled(data: bytes, _: object, shape: tuple[int, ...], order: object) -> Bytes:
            return np.frombuffer(data, np.uint8).reshape(shape, order="C" if order in (False, "C") else "F")

        self.array = Array
        self.standing_for: dict[str, Callable[..., Any]] = {
            "numpy.ndarray": Array,
            "numpy.dtype": _Kind,
            "numpy._core.multiarray._reconstruct": lambda *_: Array(),
            "numpy._core.numeric._frombuffer": filled,
            "_codecs.encode": latin1,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Find what stands for the named object, when it is one that arrays are made of."""
        found = self.standing_for.get(f"{module.replace('numpy.core', 'numpy._core')}.{name}")
        if found is None:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return found


def check_steps(data: bytes) -> None:
    """Raise UnpicklingError, before anything is made, for a pickle that a few bytes make large, slow or deep."""
    tuples, may_be_tuple = 0, False
    places: dict[object, bool] = {}
    for number, (step, value, _) in enumerate(pickletools.genops(data)):
        tuples += step.name in TUPLES
        if step.name in PLACES or step.name == "MEMOIZE":
            places[len(places) if value is None else value] = may_be_tuple
        elif step.name in FETCHES and places.get(value):
            # Python hashes a tuple anew wherever it stands: a few, each twice in the next one, take for ever.
            raise pickle.UnpicklingError("it uses a tuple twice")
        else:
            may_be_tuple = step.name in TUPLES or step.name == "BUILD"  # of nothing, which leaves a tuple where it is
        if step.name not in STEPS:
            raise pickle.UnpicklingError(f"it holds the step {step.name}, which no dictionary of arrays has")
        if number >= MOST_STEPS:
            raise pickle.UnpicklingError(f"it has more than {MOST_STEPS:,} steps (MOST_STEPS)")
        if step.name in PLACES and isinstance(value, int) and value >= MOST_STEPS:
            raise pickle.UnpicklingError(f"it gives an object the number {value}; at most {MOST_STEPS:,} (MOST_STEPS)")
        if tuples > MOST_TUPLES:
            raise pickle.UnpicklingError(f"it has more than {MOST_TUPLES:,} tuples (MOST_TUPLES)")
        if isinstance(value, int) and step.name in NUMBERS and not -WORD < value < WORD:
            raise pickle.UnpicklingError("it holds a whole number of more than 32 bits")


def read_pickle(path: Path) -> dict[str, Any]:
    """Read the dictionary in a pickle, arrays of bytes as NumPy's; raises MuxflowError naming a file that holds none."""
    check_bytes(str(path), path.stat().st_size)
    try:
        data = path.read_bytes()
        check_steps(data)
        unpickler = _Unpickler(data)
        content = unpickler.load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise_machine_fault(error, str(path))
        raise MuxflowError(
            f"{path}: {counted(path.stat().st_size, 'byte')}, not a readable pickle of arrays ({plainly(error)}); unpack the "
            "archive again"
        ) from error
    if not isinstance(content, dict):
        raise MuxflowError(f"{path}: holds a {type(content).__name__}; expected the dictionary of a CIFAR batch")
    texts = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    if odd := [key for key in texts if not isinstance(key, str)]:
        raise MuxflowError(f"{path}: a key of its dictionary is {shown(odd[0])}; expected texts")
    return {key: value.values if isinstance(value, unpickler.array) else value for key, value in texts.items()}
