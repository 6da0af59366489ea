// Cycle simulation of a folded graph; the semantics are written in docs/design/timing.md and the interface in timing.py.
#include <cstdint>
#include <vector>

namespace {

struct Run {
  int64_t count;
  int64_t used;
};

struct Port {
  int64_t fifo;
  const Run* runs;
  int64_t run_count;
  int64_t run;
  int64_t left;

  bool used() const { return runs[run].used != 0; }
  void advance() {
    if (--left > 0) return;
    if (++run == run_count) run = 0;
    left = runs[run].count;
  }
};

struct Fifo {
  int64_t depth;
  int64_t writer = 0;
  int64_t reader = 0;
  int64_t written = 0;
  int64_t read = 0;
  int64_t last_write = -1;
  int64_t last_read = -1;
  int64_t high_water = 0;

  // What reader and writer see is the state at the start of the cycle.
  int64_t readable(int64_t now) const { return written - read - (last_write == now ? 1 : 0); }
  int64_t occupied(int64_t now) const { return written - read + (last_read == now ? 1 : 0); }
};

struct Node {
  std::vector<Port> reads;
  std::vector<Port> writes;
  int64_t interval;
  int64_t depth;
  int64_t left;           // iterations still to start
  int64_t cooldown = 0;   // cycles until the next one may start
  int64_t in_flight = 0;  // started, not yet at the end of the pipeline
  int64_t position = 0;
  std::vector<uint32_t> pipeline;  // writes of the iteration at each depth
  std::vector<uint8_t> holds;      // whether an iteration is there
  int64_t busy = 0, starved = 0, blocked = 0;
  // A node that waits for another sleeps from the cycle after `waiting_since` on, until that FIFO is written or read.
  int64_t waiting_since = -1;
  bool waits_for_room = false;
};

enum Outcome { FINISHED = 0, DEADLOCK = 1, OUT_OF_TIME = 2 };

// The nodes that are awake, a bit each.
class Awake {
  std::vector<uint64_t> words;

 public:
  explicit Awake(int64_t count) : words((count + 63) / 64, 0) {}
  void wake(int64_t node) { words[node >> 6] |= uint64_t{1} << (node & 63); }
  void sleep(int64_t node) { words[node >> 6] &= ~(uint64_t{1} << (node & 63)); }
  // Calls visit(node) for those awake now; one that wakes meanwhile could not move before the next cycle anyway.
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t i = 0; i < words.size(); ++i) {
      for (uint64_t left = words[i]; left; left &= left - 1) visit(64 * i + __builtin_ctzll(left));
    }
  }
};

// Counts the cycles up to `now` (excluded) that a node slept through.
void wake_up(Node& node, int64_t now) {
  if (node.waiting_since < 0) return;
  (node.waits_for_room ? node.blocked : node.starved) += now - node.waiting_since - 1;
  node.waiting_since = -1;
}

// One cycle of one node; returns whether anything moved. A node whose wait only another one can end goes to sleep.
bool step(Node& node, int64_t self, std::vector<Fifo>& fifos, Awake& awake, int64_t now) {
  wake_up(node, now);
  const uint32_t leaving = node.pipeline[node.position];
  if (leaving) {
    for (std::size_t i = 0; i < node.writes.size(); ++i) {
      if (!(leaving >> i & 1)) continue;
      const Fifo& fifo = fifos[node.writes[i].fifo];
      if (fifo.occupied(now) >= fifo.depth) {
        ++node.blocked;
        if (fifo.written - fifo.read >= fifo.depth) {
          node.waiting_since = now;
          node.waits_for_room = true;
          awake.sleep(self);
        }
        return false;
      }
    }
    for (std::size_t i = 0; i < node.writes.size(); ++i) {
      if (leaving >> i & 1) {
        Fifo& fifo = fifos[node.writes[i].fifo];
        const int64_t needed = fifo.occupied(now) + 1;
        if (needed > fifo.high_water) fifo.high_water = needed;
        ++fifo.written;
        fifo.last_write = now;
        awake.wake(fifo.reader);
      }
    }
  }
  bool moved = node.in_flight > 0;
  if (node.holds[node.position]) {
    node.holds[node.position] = 0;
    node.pipeline[node.position] = 0;
    --node.in_flight;
  }
  if (node.cooldown > 0) {
    --node.cooldown;
    ++node.busy;
    moved = true;
  } else if (node.left > 0) {
    const Fifo* missing = nullptr;
    for (const Port& port : node.reads) {
      if (port.used() && fifos[port.fifo].readable(now) < 1) {
        missing = &fifos[port.fifo];
        break;
      }
    }
    if (!missing) {
      for (Port& port : node.reads) {
        if (port.used()) {
          Fifo& fifo = fifos[port.fifo];
          ++fifo.read;
          fifo.last_read = now;
          awake.wake(fifo.writer);
        }
        port.advance();
      }
      uint32_t writes = 0;
      for (std::size_t i = 0; i < node.writes.size(); ++i) {
        if (node.writes[i].used()) writes |= 1u << i;
        node.writes[i].advance();
      }
      node.pipeline[node.position] = writes;
      node.holds[node.position] = 1;
      ++node.in_flight;
      --node.left;
      node.cooldown = node.interval - 1;
      ++node.busy;
      moved = true;
    } else {
      ++node.starved;
      if (node.in_flight == 0 && missing->written == missing->read) {
        node.waiting_since = now;
        node.waits_for_room = false;
        awake.sleep(self);
      }
    }
  }
  if (++node.position == node.depth) node.position = 0;
  return moved;
}

}  // namespace

// nodes: for each trips of all frames, interval, depth, read ports, write ports.
// ports: for each its FIFO, first run, runs. runs: for each iterations, used.
// sinks: how many nodes, the last ones, take outputs; a frame is complete when each has taken its share of it. Every
// node's trips are those of `frames` frames.
// middle, patience: the run is given up when the frames after frame `middle` take longer than `patience` cycles.
extern "C" int64_t muxflow_simulate(int64_t node_count, const int64_t* nodes, const int64_t* ports, const int64_t* runs,
                                    int64_t fifo_count, const int64_t* depths, int64_t sinks, int64_t frames, int64_t middle,
                                    int64_t patience, int64_t* completions, int64_t* shares, int64_t* high_water,
                                    int64_t* waits, int64_t* cycles) {
  const Run* table = reinterpret_cast<const Run*>(runs);
  std::vector<Fifo> fifos(fifo_count);
  for (int64_t i = 0; i < fifo_count; ++i) fifos[i].depth = depths[i];
  std::vector<Node> all(node_count);
  const int64_t* port = ports;
  for (int64_t i = 0; i < node_count; ++i) {
    const int64_t* entry = nodes + 5 * i;
    Node& node = all[i];
    node.left = entry[0];
    node.interval = entry[1];
    node.depth = entry[2];
    for (int64_t p = 0; p < entry[3] + entry[4]; ++p, port += 3) {
      const Port made = {port[0], table + port[1], port[2], 0, table[port[1]].count};
      (p < entry[3] ? node.reads : node.writes).push_back(made);
      (p < entry[3] ? fifos[port[0]].reader : fifos[port[0]].writer) = i;
    }
    node.pipeline.assign(node.depth, 0);
    node.holds.assign(node.depth, 0);
  }
  Awake awake(node_count);
  for (int64_t i = 0; i < node_count; ++i) awake.wake(i);
  // Iterations of a frame of each sink, and frames that the slowest of them has taken.
  std::vector<int64_t> frame_trips;
  for (int64_t i = node_count - sinks; i < node_count; ++i) frame_trips.push_back(all[i].left / frames);
  int64_t frames_done = 0;
  int64_t limit = INT64_MAX;
  int64_t outcome = FINISHED;
  int64_t now = 0;
  for (;; ++now) {
    if (now >= limit) {
      outcome = OUT_OF_TIME;
      break;
    }
    bool moved = false;
    awake.each([&](int64_t i) {
      if (all[i].left > 0 || all[i].in_flight > 0) {
        moved |= step(all[i], i, fifos, awake, now);
      } else {
        awake.sleep(i);
      }
    });
    int64_t done = frames;
    for (int64_t i = 0; i < sinks; ++i) {
      const int64_t taken = frames - (all[node_count - sinks + i].left + frame_trips[i] - 1) / frame_trips[i];
      if (taken < done) done = taken;
    }
    for (; frames_done < done; ++frames_done) {
      completions[frames_done] = now + 1;
      if (frames_done == middle && patience < INT64_MAX - now) limit = now + 1 + patience;
    }
    if (frames_done == frames) break;
    if (!moved) {
      outcome = DEADLOCK;
      break;
    }
  }
  for (int64_t i = 0; i < node_count; ++i) {
    Node& node = all[i];
    wake_up(node, now + 1);
    shares[3 * i] = node.busy;
    shares[3 * i + 1] = node.starved;
    shares[3 * i + 2] = node.blocked;
    // What a node waits for: 2 * fifo to read it, 2 * fifo + 1 to write it, -1 for nothing.
    waits[i] = -1;
    if (node.left == 0 && node.in_flight == 0) continue;
    const uint32_t leaving = node.pipeline[node.position];
    for (std::size_t w = 0; w < node.writes.size(); ++w) {
      const Fifo& fifo = fifos[node.writes[w].fifo];
      if ((leaving >> w & 1) && fifo.written - fifo.read >= fifo.depth) waits[i] = 2 * node.writes[w].fifo + 1;
    }
    if (waits[i] >= 0 || node.left == 0) continue;
    for (const Port& p : node.reads) {
      if (p.used() && fifos[p.fifo].written == fifos[p.fifo].read) waits[i] = 2 * p.fifo;
    }
  }
  for (int64_t i = 0; i < fifo_count; ++i) high_water[i] = fifos[i].high_water;
  *cycles = now + 1;
  return outcome;
}
