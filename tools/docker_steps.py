"""Runs the RUN steps of a Dockerfile in their order, without Docker: in a folder that stands for its WORKDIR.

    python3 tools/docker_steps.py [Dockerfile [FOLDER]]

CI uses it to make its environment, so that what the image does is what is tested. COPY is not played: the folder is the
checkout itself. Stops at the first step that fails, with its exit code.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def run_steps(text: str) -> list[str]:
    """List the shell commands of all RUN instructions, continuation lines joined and comment lines left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\s*\n\s*", " ", "\n".join(lines))
    return re.findall(r"^RUN\s+(.+?)\s*$", joined, re.MULTILINE)


def main() -> int:
    """Play the steps."""
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "Dockerfile")
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else file.parent)
    steps = run_steps(file.read_text())
    for number, step in enumerate(steps, 1):
        print(f"{file.name}: RUN step {number} of {len(steps)}: {step}", flush=True)
        code = subprocess.run(["/bin/sh", "-c", step], cwd=folder, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
