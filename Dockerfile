# Muxflow with everything that needs no vendor tool.
#
#   docker build -t muxflow .
#   docker run --rm muxflow                                    # make demo
#   docker run --rm -v /tools/Xilinx:/tools/Xilinx:ro -v "$PWD/build:/muxflow/build" muxflow \
#     make bitstream BOARD=pynq-z2 TOOLS=/tools/Xilinx
#
# Vivado and Vitis are never inside the image: mount the host's installation.
FROM python:3.11-slim-bookworm

# Debian keeps only the newest version of a package, so a pinned one would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make git tcl \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /muxflow
COPY . .
RUN make venv

ENV PATH="/muxflow/.venv/bin:${PATH}"
CMD ["make", "demo"]
