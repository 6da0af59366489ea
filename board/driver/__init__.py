"""What runs on the board: needs Python 3.8, numpy and, for the hardware, pynq; nothing else of Muxflow.

`muxflow bitstream` copies this folder into `deploy/` as `muxflow_driver`.
"""

from .accelerator import Accelerator
from .errors import AcceleratorError
from .results import Counters, Measurement, StreamCounters

__all__ = ["Accelerator", "AcceleratorError", "Counters", "Measurement", "StreamCounters"]
