"""The reader of models of Keras 3 with HGQ2."""

from __future__ import annotations

from muxflow.dataflow.packages import Package
from muxflow.frontend.keras.keras_frontend import KerasFrontend
from muxflow.frontend.keras.v3.hgq_folder import hgq_version, install_command


def _version() -> str | None:
    return hgq_version() or None


FRONTEND = KerasFrontend(
    "Keras 3 with HGQ2", 3, (Package("HGQ2", "import of Keras 3 and HGQ2 models", install_command(), _version),)
)
