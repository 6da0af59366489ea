// Stream monitor: passes the words between DMA and accelerator through unchanged and counts them.
//
//   s_in  -> m_in    DMA to accelerator
//   s_out -> m_out   accelerator to DMA
//
// Words pass combinationally: no cycle is added and a stall is seen as it is. Only TLAST to the DMA changes: it is kept
// on the last frame of every `frames per transfer`, because a simple-mode DMA ends a transfer at TLAST, and a batch is
// one transfer.
//
// A counter of 64 bits is read low word first: that read holds the high word for the next one. The registers answer in a
// window of 4 KiB, the smallest that the IP integrator gives a slave; what is not in the map reads as zero.
// The register map is the table of board/driver/registers.py; a test compares the two.
`default_nettype none

module stream_monitor (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_in:m_in:s_out:m_out:s_axi, ASSOCIATED_RESET aresetn" *)
    input  wire        aclk,
    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST" *)
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire        aresetn,

    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_in TDATA" *)
    input  wire [63:0] s_in_tdata,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_in TKEEP" *)
    input  wire [7:0]  s_in_tkeep,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_in TLAST" *)
    input  wire        s_in_tlast,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_in TVALID" *)
    input  wire        s_in_tvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_in TREADY" *)
    output wire        s_in_tready,

    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_in TDATA" *)
    output wire [63:0] m_in_tdata,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_in TKEEP" *)
    output wire [7:0]  m_in_tkeep,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_in TLAST" *)
    output wire        m_in_tlast,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_in TVALID" *)
    output wire        m_in_tvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_in TREADY" *)
    input  wire        m_in_tready,

    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_out TDATA" *)
    input  wire [63:0] s_out_tdata,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_out TKEEP" *)
    input  wire [7:0]  s_out_tkeep,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_out TLAST" *)
    input  wire        s_out_tlast,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_out TVALID" *)
    input  wire        s_out_tvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_out TREADY" *)
    output wire        s_out_tready,

    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_out TDATA" *)
    output wire [63:0] m_out_tdata,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_out TKEEP" *)
    output wire [7:0]  m_out_tkeep,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_out TLAST" *)
    output wire        m_out_tlast,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_out TVALID" *)
    output wire        m_out_tvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_out TREADY" *)
    input  wire        m_out_tready,

    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi AWADDR" *)
    (* X_INTERFACE_PARAMETER = "PROTOCOL AXI4LITE, DATA_WIDTH 32, ADDR_WIDTH 12" *)
    input  wire [11:0] s_axi_awaddr,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi AWPROT" *)
    input  wire [2:0]  s_axi_awprot,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi AWVALID" *)
    input  wire        s_axi_awvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi AWREADY" *)
    output wire        s_axi_awready,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi WDATA" *)
    input  wire [31:0] s_axi_wdata,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi WSTRB" *)
    input  wire [3:0]  s_axi_wstrb,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi WVALID" *)
    input  wire        s_axi_wvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi WREADY" *)
    output wire        s_axi_wready,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi BRESP" *)
    output wire [1:0]  s_axi_bresp,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi BVALID" *)
    output reg         s_axi_bvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi BREADY" *)
    input  wire        s_axi_bready,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi ARADDR" *)
    input  wire [11:0] s_axi_araddr,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi ARPROT" *)
    input  wire [2:0]  s_axi_arprot,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi ARVALID" *)
    input  wire        s_axi_arvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi ARREADY" *)
    output wire        s_axi_arready,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi RDATA" *)
    output reg  [31:0] s_axi_rdata,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi RRESP" *)
    output wire [1:0]  s_axi_rresp,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi RVALID" *)
    output reg         s_axi_rvalid,
    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi RREADY" *)
    input  wire        s_axi_rready
);

  localparam [31:0] IDENTIFICATION = 32'h4d58464d;
  localparam [31:0] VERSION = 32'd1;
  localparam [31:0] NO_LATENCY = 32'hffffffff;

  // Settings.
  reg [31:0] input_words;
  reg [31:0] frames_per_transfer;

  // The streams.
  reg  [31:0] transfer_frame;
  wire        last_of_transfer = transfer_frame + 32'd1 >= frames_per_transfer;
  assign m_in_tdata = s_in_tdata;
  assign m_in_tkeep = s_in_tkeep;
  assign m_in_tlast = s_in_tlast;
  assign m_in_tvalid = s_in_tvalid;
  assign s_in_tready = m_in_tready;
  assign m_out_tdata = s_out_tdata;
  assign m_out_tkeep = s_out_tkeep;
  assign m_out_tlast = s_out_tlast && last_of_transfer;
  assign m_out_tvalid = s_out_tvalid;
  assign s_out_tready = m_out_tready;

  // A frame of the input ends after its number of words where that is set (a transfer holds many frames and one TLAST).
  reg  [31:0] input_word;
  wire        input_beat = s_in_tvalid && m_in_tready;
  wire        input_last = input_beat && (input_words == 32'd0 ? s_in_tlast : input_word + 32'd1 >= input_words);
  wire        input_first = input_beat && input_word == 32'd0;
  wire        output_last = s_out_tvalid && m_out_tready && s_out_tlast;

  // The cycle in which each frame in flight began; 16 of them, and no latency is told once more were in flight.
  reg  [31:0] begun [0:15];
  reg  [4:0]  in_flight;
  reg  [3:0]  newest;
  reg         lost;
  wire [3:0]  oldest = newest - in_flight[3:0];
  wire        begins = input_first && !lost;
  wire        ends = output_last && in_flight != 5'd0;
  reg  [31:0] latency;

  reg  [63:0] cycles;

  // Writes: address and data are taken together.
  wire        write = s_axi_awvalid && s_axi_wvalid && !s_axi_bvalid;
  wire        clear = write && s_axi_awaddr[11:2] == 10'h002 && s_axi_wstrb[0] && s_axi_wdata[0];
  assign s_axi_awready = write;
  assign s_axi_wready = write;
  assign s_axi_bresp = 2'b00;

  wire [63:0] input_frames, input_beats, input_stalls, input_idle;
  stream_counter input_counter (
      .aclk(aclk), .clear(!aresetn || clear), .valid(s_in_tvalid), .ready(m_in_tready), .last(input_last),
      .frames(input_frames), .beats(input_beats), .stalls(input_stalls), .idle(input_idle)
  );

  wire [63:0] output_frames, output_beats, output_stalls, output_idle;
  stream_counter output_counter (
      .aclk(aclk), .clear(!aresetn || clear), .valid(s_out_tvalid), .ready(m_out_tready), .last(output_last),
      .frames(output_frames), .beats(output_beats), .stalls(output_stalls), .idle(output_idle)
  );

  always @(posedge aclk) begin
    if (!aresetn) begin
      s_axi_bvalid <= 1'b0;
      input_words <= 32'd0;
      frames_per_transfer <= 32'd1;
    end else begin
      if (write) begin
        s_axi_bvalid <= 1'b1;
        if (s_axi_wstrb == 4'hf) begin
          if (s_axi_awaddr[11:2] == 10'h003) input_words <= s_axi_wdata;
          if (s_axi_awaddr[11:2] == 10'h004) frames_per_transfer <= s_axi_wdata;
        end
      end else if (s_axi_bready) begin
        s_axi_bvalid <= 1'b0;
      end
    end
  end

  always @(posedge aclk) begin
    if (!aresetn || clear) begin
      cycles <= 64'd0;
      input_word <= 32'd0;
      transfer_frame <= 32'd0;
      in_flight <= 5'd0;
      newest <= 4'd0;
      lost <= 1'b0;
      latency <= NO_LATENCY;
    end else begin
      cycles <= cycles + 64'd1;
      if (input_beat) input_word <= input_last ? 32'd0 : input_word + 32'd1;
      if (output_last) transfer_frame <= last_of_transfer ? 32'd0 : transfer_frame + 32'd1;
      if (begins) begin
        begun[newest] <= cycles[31:0];
        newest <= newest + 4'd1;
      end
      if (begins && !ends && in_flight == 5'd16) begin
        lost <= 1'b1;
        latency <= NO_LATENCY;
      end else begin
        in_flight <= in_flight + {4'd0, begins} - {4'd0, ends};
        if (ends && !lost) latency <= cycles[31:0] - begun[oldest] + 32'd1;
      end
    end
  end

  // Reads.
  reg  [31:0] high_word;
  reg  [63:0] counter;
  wire        read = s_axi_arvalid && !s_axi_rvalid;
  assign s_axi_arready = read;
  assign s_axi_rresp = 2'b00;

  always @* begin
    case (s_axi_araddr[11:3])
      9'h003: counter = cycles;
      9'h004: counter = input_frames;
      9'h005: counter = input_beats;
      9'h006: counter = input_stalls;
      9'h007: counter = input_idle;
      9'h008: counter = output_frames;
      9'h009: counter = output_beats;
      9'h00a: counter = output_stalls;
      9'h00b: counter = output_idle;
      default: counter = 64'd0;
    endcase
  end

  always @(posedge aclk) begin
    if (!aresetn) begin
      s_axi_rvalid <= 1'b0;
      s_axi_rdata <= 32'd0;
      high_word <= 32'd0;
    end else if (read) begin
      s_axi_rvalid <= 1'b1;
      case (s_axi_araddr[11:2])
        10'h000: s_axi_rdata <= IDENTIFICATION;
        10'h001: s_axi_rdata <= VERSION;
        10'h002: s_axi_rdata <= 32'd0;
        10'h003: s_axi_rdata <= input_words;
        10'h004: s_axi_rdata <= frames_per_transfer;
        10'h005: s_axi_rdata <= latency;
        default: begin
          s_axi_rdata <= s_axi_araddr[2] ? high_word : counter[31:0];
          if (!s_axi_araddr[2]) high_word <= counter[63:32];
        end
      endcase
    end else if (s_axi_rready) begin
      s_axi_rvalid <= 1'b0;
    end
  end

endmodule

// What one stream did since `clear`; `last` marks the cycle in which a frame's last word passes.
/* verilator lint_off DECLFILENAME */
module stream_counter (
    input  wire        aclk,
    input  wire        clear,
    input  wire        valid,
    input  wire        ready,
    input  wire        last,
    output reg  [63:0] frames,
    output reg  [63:0] beats,
    output reg  [63:0] stalls,
    output reg  [63:0] idle
);

  always @(posedge aclk) begin
    if (clear) begin
      frames <= 64'd0;
      beats <= 64'd0;
      stalls <= 64'd0;
      idle <= 64'd0;
    end else begin
      if (last) frames <= frames + 64'd1;
      if (valid && ready) beats <= beats + 64'd1;
      if (valid && !ready) stalls <= stalls + 64'd1;
      if (!valid && ready) idle <= idle + 64'd1;
    end
  end

endmodule

`default_nettype wire
