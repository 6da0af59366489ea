"""Run an accelerator: self test, speed, a few images, what the stream monitor counted.

On the board, in the deploy folder:           sudo python3 example.py
On a machine with Muxflow, without a board:   python3 example.py --emulate build/mognet_digits
"""

import argparse
import sys
from pathlib import Path
from typing import Optional

from muxflow_driver import Accelerator, AcceleratorError


def run(accelerator: Accelerator, batch: int, record: Optional[Path]) -> None:
    """Print what the accelerator does."""
    interface = accelerator.interface
    print(f"{interface.name} on {interface.board} at {interface.clock_mhz:g} MHz")
    print(f"self test: {accelerator.self_test()} images agree")
    print(accelerator.measure(batch, record=record))
    images = {port.name: port.random(4) for port in interface.inputs}
    if any(port.answer in ("codes", "values") for port in interface.outputs):
        print("codes of random images:", accelerator.run(images))
    else:
        print("classes of random images:", accelerator.classify(images))
    print(accelerator.counters())


def main() -> None:
    """Read the command line and run the accelerator."""
    parser = argparse.ArgumentParser(description="Runs the accelerator of this folder.")
    parser.add_argument("--emulate", metavar="PROJECT", help="HLS project whose C simulation plays the accelerator")
    parser.add_argument("--batch", type=int, default=256, help="images that the frame rate is measured over")
    parser.add_argument(
        "--record", type=Path, metavar="FOLDER", help="keep the measurement there, for `muxflow report`"
    )
    arguments = parser.parse_args()
    try:
        emulated = arguments.emulate is not None
        with Accelerator.emulate(arguments.emulate) if emulated else Accelerator(Path(__file__).parent) as accelerator:
            run(accelerator, arguments.batch, arguments.record)
    except AcceleratorError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
