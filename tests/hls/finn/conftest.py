"""FINN in the test process: its settings and build folder stand in a temporary folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """FINN with its settings and our nodes; the environment is as before afterwards."""
    scratch = str(tmp_path_factory.mktemp("finn"))
    changed = {"HOME": scratch, "FINN_BUILD_DIR": scratch, "XILINX_VIVADO": "/none/2022.2"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from muxflow.hls.finn import register
            from muxflow.hls.finn.process import prepare_finn

            prepare_finn()
            register()
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
