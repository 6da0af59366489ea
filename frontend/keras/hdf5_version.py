"""Print the version of Keras in an HDF5 file: `python hdf5_version.py FILE`; nothing where it does not say.

Ends with FAULT, and the library's reason on standard error, where the file cannot be opened.

A program of its own that needs nothing of Muxflow: on a damaged file the HDF5 library may never come to an end, and no signal
of Python's stops it then.
"""

import sys

import h5py

FAULT = 3

if __name__ == "__main__":
    try:
        with h5py.File(sys.argv[1]) as file:
            version = file.attrs.get("keras_version", "")
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(FAULT)
    print(version.decode(errors="replace") if isinstance(version, bytes) else version)
