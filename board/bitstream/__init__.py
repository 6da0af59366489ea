"""From an HLS project to a bitstream: stages, vendor tools, their scripts and reports."""
