"""What holds for every command: help, version, and one message for bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run

import muxflow
from muxflow.cli.app import COMMANDS
from muxflow.frontend.training.keras.trainer import NAMES
from muxflow.frontend.training.recipes import RECIPES


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build", "none.onnx"], 1, "none.onnx: no such file"),
        (["build", "empty.onnx"], 1, "empty.onnx: no model but an empty file"),
        (["build", "text.onnx"], 1, "text.onnx"),
        (["build", "model.pt"], 1, "supported are .onnx"),
        (["build", "small.npz", "--board", "pynq-z9", "--output", "no"], 2, "'pynq-z9' is not known"),
        (["build", "small.npz", "--lut", "0", "--output", "no"], 2, "a utilisation of 0"),
        (
            ["fit", "none.onnx", "--lut", "100"],
            2,
            "a utilisation of 100 for lut; utilisations (--lut, --bram) are shares",
        ),
        (["build", "small.npz", "--lut", "0.0001", "--output", "no"], 5, "LUT"),
        (["build", "small.npz", "--clock", "0", "--output", "no"], 2, "must be positive"),
        (["build", "small.npz", "--fps", "0", "--output", "no"], 2, "a goal of 0 frames a second"),
        (["fit", "small.npz", "--fps", "-3"], 2, "it must be positive"),
        (["fit", "small.npz", "--latency-ms", "0"], 2, "seconds of latency; it must be positive"),
        (["fit", "small.npz", "--fps", "9", "--latency-ms", "9"], 2, "give one of them"),
        (["fit", "small.npz", "--fps", "1e12"], 5, "the nearest point that fits is"),
        (["fit", "small.npz", "--slowdown", "-1"], 2, "a slowdown of -1 %"),
        (["fit", "small.npz", "-o", "--plot", "p.svg"], 2, "-o takes a value; met the option --plot in its place"),
        (["build", "small.npz", "--board", "-o", "no"], 2, "--board takes a value; met the option -o in its place"),
        (["fit", "small.npz", "--board", "pynq-z9"], 2, "'pynq-z9' is not known"),
        (["fit", "small.npz", "--bram", "0"], 2, "a utilisation of 0"),
        (["fit", "small.npz", "--plot", "plot.docx"], 2, "a plot ends in .pdf, .svg, .png"),
        (["build", "small.npz", "--output", "foreign"], 1, "is not a Muxflow project"),
        (["csim", "foreign"], 1, "design.json: no such file"),
        (["csim", "project", "--data", "cifar10", "--data-folder", "nowhere"], 1, "nowhere"),
        (["csim", "project", "--data", "imagenet"], 2, "imagenet"),
        (
            ["report", "project", "--format", "docx"],
            2,
            "report format 'docx'; supported: txt, md, html, json, csv, tex",
        ),
        (["report", "project", "--format", ","], 2, "report format ''; supported"),
        (["report", "project", "--latex", "--prior", "absent.toml"], 1, "absent.toml: not a file of published designs"),
        (["report", "project", "--latex", "--with", "absent.json"], 1, "absent.json"),
        (
            ["report", "project", "--with", "absent.json"],
            2,
            "--with absent.json is for the tables and figures of a paper",
        ),
        (["report", "project", "--prior", "absent.toml"], 2, "--prior absent.toml is for the tables of a paper; add"),
        (["csim", "project", "--split", "x"], 2, "--split x is given without a data set; name it: --data"),
        (["csim", "project", "--data-folder", "x"], 2, "--data-folder x is given without a data set; name it"),
        (["compare", "project"], 2, "one build; give two to compare, or one and --against"),
        (["compare", "project", "--against", "vitis"], 2, "--against 'vitis'; supported: finn, hls4ml"),
        (
            ["compare", "project", "project", "--format", "csv"],
            2,
            "report format 'csv'; supported: txt, md, html, json, tex",
        ),
        (["compare", "project", "absent"], 1, "absent"),
        (["train", "resnet"], 2, "residual_digits_qkeras"),
        (["demo", "resnet"], 2, "mobilenet_hybrid_mnist_ternary"),
        (["demo", "--select", "best"], 2, "network 'mognet_digits_best' does not ship"),
        (["check", "text.onnx"], 1, "text.onnx"),
        (["build"], 2, "MODEL"),
    ],
)
def test_bad_input_is_one_message_a_code_and_nothing_left(
    workplace: Path, arguments: list[str], code: int, message: str
) -> None:
    (workplace / "empty.onnx").write_bytes(b"")
    (workplace / "text.onnx").write_text("not a model")
    (workplace / "model.h5").write_text("not a model")
    (workplace / "foreign").mkdir(exist_ok=True)
    (workplace / "foreign" / "thesis.tex").write_text("precious")
    before = sorted(path.name for path in workplace.iterdir())
    done = run(*arguments, cwd=workplace)
    assert done.returncode == code, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in workplace.iterdir()) == before
    assert [path.name for path in (workplace / "foreign").iterdir()] == ["thesis.tex"]


def test_help_and_version_answer(tmp_path: Path) -> None:
    text = run("--help", cwd=tmp_path).stdout
    commands = ("train", "check", "fit", "build", "sweep", "csim", "report", "bitstream", "boards", "doctor", "demo")
    for word in (*commands, "Exit codes"):
        assert word in text
    assert run("--version", cwd=tmp_path).stdout == f"muxflow {muxflow.__version__}\n"


def test_every_preset_is_listed(tmp_path: Path) -> None:
    entries = json.loads(run("train", "--list", "--json", cwd=tmp_path).stdout)["presets"]
    named = {one["preset"]: (one["library"], one["dataset"], one["epochs"]) for one in entries}
    assert named.keys() == {*RECIPES, *NAMES} and list(named) == sorted(named)
    assert named["mobilenet_hybrid_mnist_all"] == ("Brevitas", "mnist_5k", 40)
    assert named["residual_digits_qkeras"] == ("QKeras", "digits", 60)
    table = run("train", "--list", cwd=tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in table] == ["preset", *named] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [(), *((command.__name__,) for command in COMMANDS)], ids=" ".join)
def test_help_has_a_short_name_too(tmp_path: Path, command: tuple[str, ...]) -> None:
    long, short = (run(*command, name, cwd=tmp_path) for name in ("--help", "-h"))
    assert short.returncode == 0, short.stderr
    assert "Usage: muxflow" in short.stdout
    assert short.stdout == long.stdout


def test_colour_that_is_asked_for_draws_no_progress_into_a_log(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    begun = run("fit", "small.npz", cwd=workplace).stderr
    assert begun.startswith("import small.npz ...\n")
    assert "\x1b" not in begun and "\r" not in begun


def test_without_a_terminal_there_is_no_progress_bar(workplace: Path) -> None:
    """A line for each task, and nothing between it and the message of an error."""
    (workplace / "README.txt").write_text("not a model")
    begun, message = run("fit", "README.txt", cwd=workplace).stderr.split("\n", 1)
    assert begun == "import README.txt ..."
    assert message.startswith("error:")


@pytest.mark.parametrize("verbose", [False, True])
def test_warnings_and_logs_of_other_packages_are_shown_with_verbose_only(verbose: bool, tmp_path: Path) -> None:
    """Muxflow's own warnings are one line in any case."""
    program = """
import os, warnings
from muxflow.cli import main
from muxflow.dataflow.errors import MuxflowWarning
def command(arguments):
    warnings.warn("of another package")
    warnings.warn("of Muxflow", MuxflowWarning)
    print("TensorFlow's logs:", os.environ.get("TF_CPP_MIN_LOG_LEVEL"))
    return 0
main._run = command
main.main()
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", program, "check", "m.onnx", *(["--verbose"] if verbose else [])]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"TensorFlow's logs: {None if verbose else 3}\n"
    assert "of Muxflow" in done.stderr
    if verbose:
        assert "UserWarning: of another package" in done.stderr
    else:
        assert done.stderr == "warning: of Muxflow\n"
