"""Collect the photographs that the shipped encoder's codes were trained on: python tools/photographs.py UNPACKED FOLDER.

UNPACKED: a folder in which the packages are unpacked that docs/guide/compression.md lists. Files are known by their digest.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.datasets.pictures import SUFFIXES, Picture, load_photographs
from muxflow.frontend.training.result import PRETRAINED


def collect(unpacked: Path, folder: Path) -> int:
    """Copy the photographs found below `unpacked` into `folder`, which is made; returns how many.

    Raises MuxflowError naming those that are not there, before anything is copied.
    """
    facts = json.loads((PRETRAINED / "encoder_digits.json").read_text(encoding="utf-8"))
    packaged = {picture.digest() for picture in load_photographs("train")}
    wanted = {digest: name for name, digest in facts["compression"]["pictures"].items() if digest not in packaged}
    found = {Picture(path).digest(): path for path in sorted(unpacked.rglob("*")) if path.suffix.lower() in SUFFIXES}
    missing = sorted(name for digest, name in wanted.items() if digest not in found)
    if missing:
        raise MuxflowError(
            f"{unpacked}: {len(missing)} photographs are not there: {', '.join(missing)}; unpack their packages"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for digest, name in wanted.items():
        shutil.copyfile(found[digest], folder / f"{name}{found[digest].suffix.lower()}")
    return len(wanted)


if __name__ == "__main__":
    print(f"{collect(*map(Path, sys.argv[1:3]))} photographs in {sys.argv[2]}")
