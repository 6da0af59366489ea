// Streams whose reads and writes stay calls in the IR.
#ifndef MUXFLOW_SYNTHESIS_HLS_STREAM_H
#define MUXFLOW_SYNTHESIS_HLS_STREAM_H
extern "C" void muxflow_fifo_read(void* stream, void* value) noexcept;
extern "C" void muxflow_fifo_write(void* stream, const void* value) noexcept;
namespace hls {
template <class T> struct stream {
  char place;
  explicit stream(const char* = "") {}
  T read() {
    T value;
    muxflow_fifo_read(this, &value);
    return value;
  }
  void write(const T& value) { muxflow_fifo_write(this, &value); }
};
}  // namespace hls
#endif
