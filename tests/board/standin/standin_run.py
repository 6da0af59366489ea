"""Shared by the tests of the stages: their calls, a stand-in of what writes the driver, one way to run it."""

from muxflow.board.bitstream.stages import BitstreamOptions, make_bitstream
from muxflow.board.board import find_board

ALL = [
    ("vitis_hls", "check_hls.tcl"),
    ("vivado", "check.tcl"),
    ("vitis_hls", "csim.tcl"),
    ("vitis_hls", "csynth.tcl"),
    ("vitis_hls", "cosim.tcl"),
    ("vitis_hls", "export.tcl"),
    ("vivado", "block_design.tcl"),
    ("vivado", "implement.tcl"),
]
"""What all stages call, with the HLS tool that takes Tcl files."""


def driver(project, folder):
    """Stands in for what writes the board's driver."""
    (folder / "driver.py").write_text("# stand-in\n")
    return [folder / "driver.py"]


def run(project, tools, tell=None, write_driver=driver, **options):
    """All stages with these stand-ins."""
    board = find_board(project.design.board)
    options = BitstreamOptions(tools=(tools.folder,), **options)
    return make_bitstream(project, board, options, tell=tell, write_driver=write_driver)


def names(folder):
    """File names in a folder."""
    return sorted(path.name for path in folder.iterdir())
