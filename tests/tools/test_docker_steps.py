"""The Dockerfile's steps as CI plays them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "docker_steps.py"


def play(folder, text):
    (folder / "Dockerfile").write_text(text)
    command = [sys.executable, str(SCRIPT), str(folder / "Dockerfile")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_steps_run_in_order_in_the_folder(tmp_path):
    text = """FROM scratch
    # RUN touch comment
RUN echo one \\
    # a comment between
    && echo two >> log
COPY . .
RUN cat log && echo three \\
 >> log
"""
    done = play(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text() == "two\nthree\n"
    assert "RUN step 1 of 2: echo one && echo two >> log" in done.stdout
    assert not (tmp_path / "comment").exists()


def test_the_first_failure_ends_it(tmp_path):
    done = play(tmp_path, "RUN touch first\nRUN exit 3\nRUN touch last\n")
    assert done.returncode == 3
    assert (tmp_path / "first").exists()
    assert not (tmp_path / "last").exists()


def test_the_image_makes_the_environment_that_ci_tests():
    text = (ROOT / "Dockerfile").read_text()
    assert "RUN make venv" in text
    assert "docker_steps.py Dockerfile" in (ROOT / ".ci" / "run").read_text()
    assert 'CMD ["make", "demo"]' in text
