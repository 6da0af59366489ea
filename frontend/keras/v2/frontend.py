"""The reader of models of Keras 2 with QKeras."""

from __future__ import annotations

from muxflow.dataflow.packages import package
from muxflow.frontend.keras.keras_frontend import KerasFrontend
from muxflow.frontend.keras.process import INSTALL

FRONTEND = KerasFrontend(
    "Keras 2 with QKeras",
    2,
    (
        package("qkeras", "import of QKeras models", INSTALL),
        package("tensorflow", "import of QKeras models", INSTALL),
    ),
)
