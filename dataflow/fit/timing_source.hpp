// A weight source of the cycle simulation that is not visited: what it does follows from the reads of its stream.
#ifndef MUXFLOW_TIMING_SOURCE_HPP
#define MUXFLOW_TIMING_SOURCE_HPP

#include <cstdint>

namespace {

// A node without inputs whose every iteration writes, one a cycle, with its FIFO of depth 2: its state follows from the
// reads. Beat w is written in cycle W(w) = max(W(w-1) + 1, R(w-2) + 1), R the cycles of the reads, as its pipeline has no
// bubbles and a FIFO of depth 2 takes beat w once beat w-2 has been read; W(0) is the depth of the pipeline. A pipeline
// that drains begins a frame in the cycle after the last beat of the frame before has left. By induction over w, between
// drains: W(w-1) < R(w-1) <= R(w) - 1 and R(w-2) <= R(w) - 2 give W(w) < R(w), so that no read of beat w waits; and
// W(w-1) <= max(W(w-2), R(w-3)) + 1 <= R(w-2) gives W(w) = R(w-2) + 1.
struct Source {
  int64_t depth;
  int64_t frame;  // beats between which the pipeline does not drain
  int64_t total;
  int64_t leaving;  // beats that leave: a pipeline that stands still keeps the last ones
  int64_t reads = 0;
  int64_t phase = 0;  // reads of this frame
  // Cycles in which the last beat that was read, the next one and the one after it are written.
  int64_t before = -1, ready, next;
  int64_t high_water = 0;

  Source(int64_t depth, int64_t frame, int64_t total, bool stalls)
      : depth(depth), frame(frame), total(total), leaving(stalls ? (total > depth ? total - depth : 0) : total) {
    ready = depth;
    next = after_next(0);
  }

  // The cycle in which the beat after the next one is written, given when there is room.
  int64_t after_next(int64_t room) const {
    const int64_t earliest = ready + 1 + (phase + 1 == frame ? depth : 0);
    return earliest > room ? earliest : room;
  }
  bool readable(int64_t now) const { return reads < leaving && ready < now; }
  bool ended() const { return reads >= leaving; }
  void read(int64_t now) {
    if (next <= now && reads + 1 < leaving) high_water = 2;
    before = ready;
    ready = next;
    ++reads;
    if (++phase == frame) phase = 0;
    next = after_next(now + 1);
  }
  // Reads so many of the beats that are certain to be there, one every `interval` cycles.
  void read(int64_t now, int64_t interval, int64_t count) {
    if (count > 4) {
      // What at least three of them lead to is known from the last three; the last two may touch the end of the frame.
      const int64_t skipped = count - 2;
      now += skipped * interval;
      reads += skipped;
      phase += skipped;
      next = now - interval + 1;
      ready = next - interval;
      before = ready - interval;
      high_water = 2;
      count = 2;
    }
    for (; count > 0; --count, now += interval) read(now);
  }
  // How many beats from the next one on are readable whenever it is their turn.
  int64_t certain() const {
    if (phase == 0) return 0;
    return frame - phase < leaving - reads ? frame - phase : leaving - reads;
  }
  // Beats written before cycle `end`.
  int64_t wrote(int64_t end) const {
    const int64_t exists = leaving - reads;
    return reads + (exists > 0 && ready < end) + (exists > 1 && next < end);
  }
  // Counts the cycles before `end` in which an iteration started and in which the FIFO was full, and its high-water mark.
  void finish(int64_t end, int64_t& busy, int64_t& blocked) {
    const int64_t beats = wrote(end), whole = beats / frame, begun = beats % frame, pass = frame + depth;
    if (beats > reads + 1) high_water = 2;
    if (beats > 0 && high_water == 0) high_water = 1;
    const int64_t last = beats == reads ? before : beats == reads + 1 ? ready : next;
    int64_t moves = whole * pass;
    if (begun > 0) {
      moves += depth + begun;
    } else if (beats < total) {
      moves += end - 1 - last < depth ? end - 1 - last : depth;
    }
    int64_t until = end;
    if (leaving < total) {
      if (moves >= total) {
        // It stands still after the start of its last iteration; only a full FIFO counts from then on.
        moves = total;
        const int64_t room = beats == reads ? ready : beats == reads + 1 ? next : end;
        const int64_t stopped = beats > 0 ? last + 1 : total;
        until = leaving == 0 || room < stopped ? stopped : room < end ? room : end;
      }
    } else if (beats == total) {
      until = last + 1;
    }
    blocked = until - moves;
    busy = moves / pass * frame + (moves % pass < frame ? moves % pass : frame);
  }
};

}  // namespace

#endif
