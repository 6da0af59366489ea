"""Finding the vendor's tools, their versions and the form of their commands."""

import os
import re
from pathlib import Path

import pytest

from muxflow.board.bitstream import toolchain
from muxflow.board.bitstream.toolchain import environment, find_hls, find_vivado
from muxflow.dataflow.errors import ToolError


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No vendor tool on PATH, none in the usual folders."""
    monkeypatch.setattr(toolchain, "USUAL_FOLDERS", (tmp_path / "usual",))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}{os.pathsep}/usr/bin{os.pathsep}/bin")


def install(folder, name, banner):
    """A program that says a version and does nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{banner}'\n")
    program.chmod(0o755)
    return program


def vivado(folder, version):
    return install(folder, "vivado", f"Vivado v{version} (64-bit)")


def vitis_hls(folder, version):
    return install(folder, "vitis_hls", f"Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v{version} (64-bit)")


def vitis(folder, version):
    """Vitis since 2023.2: v++ says the version, vitis-run is beside it."""
    install(folder, "v++", f"****** v++ v{version} (64-bit)")
    return install(folder, "vitis-run", "vitis-run: no such option")


def test_folders_come_first_then_path_then_the_usual_ones_newest_first(tmp_path):
    usual = tmp_path / "usual"
    vivado(usual / "Vivado" / "2020.2" / "bin", "2020.2")
    newest = vivado(usual / "Vivado" / "2023.1" / "bin", "2023.1")
    assert find_vivado().path == newest
    on_path = vivado(tmp_path / "path", "2021.1")
    assert find_vivado().path == on_path
    given = vivado(tmp_path / "mine" / "bin", "2022.1")
    found = find_vivado([tmp_path / "mine"])
    assert (found.path, found.version, found.label) == (given, (2022, 1), "Vivado 2022.1")


@pytest.mark.parametrize("place", ["", "bin", "Vivado/2022.2/bin", "2025.1/Vivado/bin", "Vivado/bin"])
def test_every_layout_of_an_installation(tmp_path, place):
    program = vivado(tmp_path / "mine" / place, "2022.2")
    assert find_vivado([tmp_path / "mine"]).path == program


def test_a_relative_folder_or_path_gives_programs_that_run_from_any_folder(tmp_path, monkeypatch):
    program = vivado(tmp_path / "mine" / "bin", "2022.2")
    monkeypatch.chdir(tmp_path)
    assert find_vivado([Path("mine")]).path == program
    monkeypatch.setenv("PATH", f"mine/bin{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert find_vivado().path == program


def test_hls_of_the_version_of_vivado_is_preferred(tmp_path):
    for version in ("2021.2", "2022.2", "2023.1"):
        vivado(tmp_path / "usual" / "Vivado" / version / "bin", version)
        vitis_hls(tmp_path / "usual" / "Vitis_HLS" / version / "bin", version)
    old = find_vivado([tmp_path / "usual" / "Vivado" / "2021.2"])
    assert find_hls("vitis_hls", (), old).version == (2021, 2)
    assert find_hls("vitis_hls", (), find_vivado()).version == (2023, 1)


def test_hls_newer_than_vivado_is_refused(tmp_path):
    vivado(tmp_path / "path", "2021.1")
    vitis_hls(tmp_path / "path", "2022.2")
    with pytest.raises(ToolError, match=r"Vitis HLS 2022\.2 .* is newer than Vivado 2021\.1 .*--tools FOLDER"):
        find_hls("vitis_hls", (), find_vivado())


@pytest.mark.parametrize(
    ("version", "installer", "commands"),
    [
        ("2020.2", vitis_hls, ["vitis_hls -f csim.tcl", "vitis_hls -f csynth.tcl", "vitis_hls -f export.tcl"]),
        ("2024.1", vitis_hls, ["vitis_hls -f csim.tcl", "vitis_hls -f csynth.tcl", "vitis_hls -f export.tcl"]),
        (
            "2024.2",
            vitis,
            [
                "vitis-run --mode hls --tcl csim.tcl",
                "vitis-run --mode hls --tcl csynth.tcl",
                "vitis-run --mode hls --tcl export.tcl",
            ],
        ),
        (
            "2025.1",
            vitis,
            [
                "vitis-run --mode hls --csim --config hls_config.cfg --work_dir csim",
                "v++ -c --mode hls --config hls_config.cfg --work_dir hls",
                "vitis-run --mode hls --package --config hls_config.cfg --work_dir hls",
            ],
        ),
    ],
)
def test_the_form_of_the_commands_follows_the_version(tmp_path, version, installer, commands):
    installer(tmp_path / "path", version)
    tool = find_hls("vitis_hls")
    met = [re.sub(r"^\S*/", "", " ".join(tool.step(step))) for step in ("csim", "csynth", "export")]
    assert met == commands
    assert tool.label == f"Vitis HLS {version}"


def test_vivado_hls(tmp_path):
    install(
        tmp_path / "path",
        "vivado_hls",
        "Vivado(TM) HLS - High-Level Synthesis from C, C++ and SystemC v2019.2 (64-bit)",
    )
    tool = find_hls("vivado_hls")
    assert tool.label == "Vivado HLS 2019.2"
    assert tool.step("csynth")[1:] == ("-f", "csynth.tcl")


def test_nothing_installed_says_what_and_where_and_how(tmp_path):
    with pytest.raises(ToolError) as error:
        find_vivado()
    text = str(error.value)
    for part in (
        "Vivado is not installed",
        str(tmp_path / "path"),
        str(tmp_path / "usual"),
        "--tools",
        "docker run -v",
    ):
        assert part in text
    assert error.value.exit_code == 6
    with pytest.raises(ToolError, match=r"looked for vitis_hls or vitis-run with v\+\+ beside it in and below .*mine"):
        find_hls("vitis_hls", [tmp_path / "mine"])
    # vitis-run alone is not enough.
    install(tmp_path / "mine" / "bin", "vitis-run", "")
    with pytest.raises(ToolError, match="Vitis HLS is not installed"):
        find_hls("vitis_hls", [tmp_path / "mine"])


@pytest.mark.parametrize(
    ("installer", "version", "find", "message"),
    [
        (vivado, "2018.3", find_vivado, r"Vivado 2018\.3 .* is not supported; supported are 2019\.2 and 2020\.2 to"),
        (vivado, "2026.1", find_vivado, r"Vivado 2026\.1 .* is not supported"),
        (vitis_hls, "2020.1", lambda: find_hls("vitis_hls"), r"Vitis HLS 2020\.1 .* is not supported.*vivado_hls"),
        (vitis, "2023.1", lambda: find_hls("vitis_hls"), r"vitis-run runs Tcl files from 2023\.2 on"),
        (vitis_hls, "2024.2", lambda: find_hls("vitis_hls"), r"version 2024\.2; it ended with 2024\.1"),
        (
            lambda folder, version: install(folder, "vivado_hls", f"v{version}"),
            "2018.3",
            lambda: find_hls("vivado_hls"),
            r"Vivado HLS 2018\.3 .* is not supported; supported are 2019\.2",
        ),
    ],
)
def test_an_unsupported_version_is_named(tmp_path, installer, version, find, message):
    installer(tmp_path / "path", version)
    with pytest.raises(ToolError, match=message):
        find()


def test_a_tool_that_does_not_say_its_version(tmp_path, monkeypatch):
    program = install(tmp_path / "path", "vivado", "libtinfo.so.5: cannot open shared object file")
    with pytest.raises(ToolError, match=r"says no version \(it ended with code 0\)\nlibtinfo\.so\.5"):
        find_vivado()
    program.write_text("#!/nowhere/shell\n")
    with pytest.raises(ToolError, match="cannot be run"):
        find_vivado()
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(toolchain, "VERSION_SECONDS", 0.2)
    with pytest.raises(ToolError, match=r"cannot be run .*timed out"):
        find_vivado()


def test_tools_find_each_other_on_path(tmp_path):
    vivado(tmp_path / "a" / "bin", "2022.2")
    vitis_hls(tmp_path / "b" / "bin", "2022.2")
    first = find_vivado([tmp_path / "a"])
    second = find_hls("vitis_hls", [tmp_path / "b"], first)
    path = environment(second, first)["PATH"].split(os.pathsep)
    assert path[:2] == [str(tmp_path / "b" / "bin"), str(tmp_path / "a" / "bin")]
    assert path[2:] == os.environ["PATH"].split(os.pathsep)


def test_a_tool_that_says_its_version_without_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "VERSION_SECONDS", 1.0)
    program = install(tmp_path / "path", "vivado", "")
    program.write_text("#!/bin/sh\nyes no licence\n")
    with pytest.raises(ToolError, match=r"vivado -version: cannot be run \(.*timed out after 1.0 seconds"):
        find_vivado()
