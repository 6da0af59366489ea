"""`python -m muxflow`: the command line."""

from muxflow.cli.main import main

main()
