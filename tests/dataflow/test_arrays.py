"""Files of NumPy's arrays that are damaged or made to harm."""

import io
import struct

import numpy as np
import pytest

from muxflow.dataflow.arrays import npy_array

DATA = np.arange(12, dtype=np.int64).tobytes()


def npy(header, data=DATA, version=(1, 0)):
    text = header.encode("latin1")
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text) + 1) + text + b"\n" + data


def header(shape="(3, 4)", kind="'<i8'", columns="False"):
    return f"{{'descr': {kind}, 'fortran_order': {columns}, 'shape': {shape}}}"


@pytest.mark.parametrize("kind", [np.int64, np.float16, np.bool_, ">u4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(kind, order):
    array = np.arange(12).reshape(3, 4).astype(kind, order=order)
    file = io.BytesIO()
    np.save(file, array)
    np.testing.assert_array_equal(npy_array(file.getvalue()), array)


@pytest.mark.parametrize(
    "text",
    [
        *(
            header(shape)
            for shape in ("(10**30, 4)", "(1000000000000, 4)", "(-3, -4)", "(True, 12)", "(12.0,)", "(13,)")
        ),
        *(header(f"({size}, 4)") for size in (2**63 - 1, 2**64)),
        header("(" + "1," * 400 + ")"),
        *(header(kind=kind) for kind in ("'|O'", "[('a', '|O')]", "'|S0'", "'x'", "[]", "'<i8,<f8'")),
        header("(0,)", "'|S2147483647'"),
        *("", "{", "nan", "(" * 9000, "-" * 9000 + "1", "{'descr': '<i8'\n", "__import__('os').getpid()", "'''"),
    ],
)
def test_headers_that_are_wrong(text):
    with pytest.raises(ValueError, match="array of ") as met:
        npy_array(npy(text))
    assert len(str(met.value)) < 600


@pytest.mark.parametrize("version", [(0, 0), (3, 0), (9, 9)])
def test_other_versions(version):
    with pytest.raises(ValueError, match="version"):
        npy_array(npy(header(), version=version))


def test_files_that_are_cut():
    whole = npy(header())
    for size in range(len(whole)):
        with pytest.raises(ValueError, match="array of "):
            npy_array(whole[:size])
