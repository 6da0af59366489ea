"""Disks that are full: what says so, and what to do where it is the one of temporary files."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a disk that is full says."""
LEAST_FREE = 1 << 20
"""Bytes below which the disk of temporary files is taken for full (decision): no tool runs with less."""


def if_full(said: str = "", before: str = "\n") -> str:
    """Say how much room the folder for temporary files has, and what to do; "" where it is not what failed.

    It is where a tool or the system said that a disk is full, or where there is next to no room left. `before`: stands
    before what is said.
    """
    try:
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    if free >= LEAST_FREE and not any(os.strerror(number) in said for number in FULL):
        return ""
    return (
        f"{before}the folder for temporary files, {folder}, has {free / 2**20:,.1f} MiB left; free space there, or name "
        "another folder in TMPDIR"
    )
