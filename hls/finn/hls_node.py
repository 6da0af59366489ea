"""The C++ of Muxflow's FINN nodes: what FINN synthesises, and what it compiles into a C++ simulation of one node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from finn.custom_op.fpgadataflow.hlsbackend import HLSBackend
from qonnx.core.datatype import DataType

from muxflow.hls.emit import Region, beat_type, region
from muxflow.hls.finn.cppsim import compile_simulation
from muxflow.hls.finn.node import RAM_STYLES
from muxflow.hls.headers import copy_headers


class MuxflowHLS(HLSBackend):  # type: ignore[misc]
    """The C++ of a Muxflow node; comes after the node's class: `class X_hls(X, MuxflowHLS)`."""

    simulates = False
    """Whether the code that is being written is for a C++ simulation."""

    def text(self) -> Region:
        """Write the folded graph in C++."""
        placement = RAM_STYLES[self.get_nodeattr("ram_style")]
        folded = self.folded()
        tables = {memory.name: placement for memory in folded.memories if not memory.writable}
        prefix = self.onnx_node.name or self.onnx_node.op_type
        text: Region = self.wrap(region(folded, self.inner_ports(), tables, "vitis_hls", prefix=prefix))
        return text

    def generate_params(self, model: Any, path: str | Path, fpgapart: str | None = None) -> None:
        """Put Muxflow's headers beside the generated file: FINN's script names no other folder to the compiler."""
        copy_headers(Path(path) / "muxflow", relative=True)

    def global_includes(self) -> None:
        """Include the kernels' headers."""
        self.code_gen_dict["$GLOBALS$"] = [f'#include "{header}"' for header in self.text().headers]

    def defines(self, var: str) -> None:
        """Write tables and functions; in a C++ simulation the top function as well, for which FINN's main has no place."""
        self.simulates = var == "cppsim"
        text = self.text()
        self.code_gen_dict["$DEFINES$"] = [text.definitions]
        if self.simulates:
            top = [self._head(), "{", *self._pragmas(), text.body, "}"]
            self.code_gen_dict["$DEFINES$"] += ['#include "muxflow/finn/words.hpp"', *top]

    def _head(self) -> str:
        """Return the top function's head; its ports are streams of beats, packed as FINN packs its words."""
        return f"void {self.onnx_node.name}({', '.join(self.text().parameters)})"

    def _pragmas(self) -> list[str]:
        """Write streams at the ports, no control signals, and a dataflow region where there are several processes."""
        several = len(self.folded().graph.nodes) > 1 or self.inner_ports() != self.ports()
        lines = ["#pragma HLS dataflow disable_start_propagation"] if several else []
        for name in self.ports():
            lines.append(f"#pragma HLS interface axis port={name}")
            lines.append(f"#pragma HLS aggregate variable={name} compact=bit")
        return [*lines, "#pragma HLS interface ap_ctrl_none port=return"]

    def blackboxfunction(self) -> None:
        """Write the top function's head."""
        self.code_gen_dict["$BLACKBOXFUNCTION$"] = [self._head()]

    def pragmas(self) -> None:
        """Write the top function's pragmas; none for the main of a C++ simulation."""
        self.code_gen_dict["$PRAGMAS$"] = [] if self.simulates else self._pragmas()

    def docompute(self) -> None:
        """Write the processes; in a C++ simulation one call of the top function, between FINN's words and Muxflow's beats."""
        if not self.simulates:
            self.code_gen_dict["$DOCOMPUTE$"] = [self.text().body]
            return
        graph = self.folded().graph
        beats = {port: port.replace("_V", "_beats") for port in self.ports()}
        streams = dict(zip(self.ports(), (*graph.inputs, *graph.outputs), strict=True))
        lines = []
        for port, name in beats.items():
            lines.append(f"  muxflow::stream<muxflow::{beat_type(graph.streams[streams[port]])}> {name};")
        lines += [
            f"  muxflow::words_to_beats({port}, {name});" for port, name in beats.items() if port.startswith("in")
        ]
        lines.append(f"  {self.onnx_node.name}({', '.join(beats.values())});")
        lines += [
            f"  muxflow::beats_to_words({name}, {port});" for port, name in beats.items() if port.startswith("out")
        ]
        self.code_gen_dict["$DOCOMPUTE$"] = lines

    def read_npy_data(self) -> None:
        """Write FINN's reader of .npy files for every input, the first element in the lowest bits."""
        folder = self.get_nodeattr("code_gen_dir_cppsim")
        self.code_gen_dict["$READNPYDATA$"] = [
            f"npy2apintstream<ap_uint<{self.get_instream_width(i)}>, {_element(self.get_input_datatype(i))}, float>"
            f'("{folder}/input_{i}.npy", in{i}_V, false);'
            for i in range(len(self.folded().graph.inputs))
        ]

    def dataoutstrm(self) -> None:
        """Write FINN's writer of .npy files for every output."""
        folder = self.get_nodeattr("code_gen_dir_cppsim")
        self.code_gen_dict["$DATAOUTSTREAM$"] = [
            f"apintstream2npy<ap_uint<{self.get_outstream_width(i)}>, {_element(self.get_output_datatype(i))}, float>"
            f"(out{i}_V, {{{', '.join(map(str, self.get_folded_output_shape(i)))}}}, "
            f'"{folder}/output_{i}.npy", false);'
            for i in range(len(self.folded().graph.outputs))
        ]

    def compile_singlenode_code(self) -> None:
        """Compile: by FINN's own compilation where XILINX_HLS leads to the vendor's headers; else with hls4ml's copy of them.

        Raises ToolError when neither is there, or the compiler fails.
        """
        if (Path(os.environ.get("XILINX_HLS", "")) / "include" / "ap_int.h").is_file():
            super().compile_singlenode_code()
            return
        folder = Path(self.get_nodeattr("code_gen_dir_cppsim"))
        self.set_nodeattr("executable_path", str(compile_simulation(folder)))

    def get_ap_int_max_w(self) -> int:
        """Return the bits of the widest word, inner ones counted; the vendor's types stop at 1024 unless told."""
        bits: int = self.word_bits()
        return max(1024, bits)


def _element(kind: Any) -> str:
    """Name the C++ type of an element outside its word; bipolar ones travel as bits."""
    return "ap_uint<1>" if kind == DataType["BIPOLAR"] else str(kind.get_hls_datatype_str())
