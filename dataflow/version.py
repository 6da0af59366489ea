"""The version of the installed Muxflow, as every report, project and stamp names it."""

from importlib.metadata import version

__version__ = version("muxflow")
