// Cycle simulation of a folded graph; the semantics are written in docs/design/timing.md and the interface in timing.py.
//
// A node is visited only in cycles in which it may meet another one: while its iterations neither read nor write, and while
// it waits, it sleeps, and what it did meanwhile is made up for when it wakes. A source that writes a beat in every
// iteration into a FIFO of depth 2 is not visited at all (see Source).
#include <cstdint>
#include <vector>

#include "timing_source.hpp"

namespace {

constexpr int64_t NEVER = INT64_MAX / 2;

struct Run {
  int64_t count;
  int64_t used;
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
  Source* source = nullptr;  // that writes it, where it is not visited

  // What reader and writer see is the state at the start of the cycle.
  bool readable(int64_t now) const {
    return source ? source->readable(now) : written - read - (last_write == now ? 1 : 0) > 0;
  }
  bool empty() const { return source ? source->ended() : written == read; }
  int64_t occupied(int64_t now) const { return written - read + (last_read == now ? 1 : 0); }
};

struct Port {
  Fifo* fifo;
  const Run* runs;
  int64_t run_count;
  int64_t run;
  int64_t left;

  bool used() const { return runs[run].used != 0; }
  void advance(int64_t iterations = 1) {
    if ((left -= iterations) > 0) return;
    if (++run == run_count) run = 0;
    left = runs[run].count;
  }
};

enum Style { FLUSHING = 0, STALLING = 1, DRAINED = 2 };

// What a node does in the cycles in which it is not visited: it is visited in each; its iterations begin, which neither
// read nor write; or it waits for room, for a beat while its pipeline stands still, or for one while the pipeline moves on.
enum Mode { AWAKE, QUIET, FOR_ROOM, STARVED, STARVED_MOVING };

struct Leaving {
  int64_t move;
  uint32_t writes;
};

struct Node {
  std::vector<Port> reads;
  std::vector<Port> writes;
  int64_t interval;
  int64_t depth;
  int64_t trips;  // iterations of a frame
  int64_t style;
  int64_t left;  // iterations still to start
  bool sink = false;
  int64_t taken = 0;       // frames whose last iteration has started, of a sink
  bool unvisited = false;  // a Source stands for it
  int64_t of_frame = 0;   // iterations of this frame that have started
  int64_t cooldown = 0;   // moves until the next one may start
  int64_t moves = 0;      // cycles in which the pipeline has moved
  int64_t last_start;     // the move with which an iteration started last; it leaves `depth` moves later
  std::vector<Leaving> pipeline;  // a ring of the iterations in it that write
  uint64_t first = 0, behind = 0;
  int64_t busy = 0, starved = 0, blocked = 0;
  Mode mode = AWAKE;
  int64_t since = 0;  // the cycle after which it sleeps
  int64_t until = 0;  // the cycle in which it wakes by itself

  Leaving& at(uint64_t index) { return pipeline[index & (pipeline.size() - 1)]; }
  bool pending() const { return first != behind; }
  bool in_flight() const { return last_start + depth >= moves; }
  // The writes of the iteration at the end of the pipeline.
  uint32_t leaving() { return pending() && at(first).move == moves ? at(first).writes : 0; }
};

enum Outcome { FINISHED = 0, DEADLOCK = 1, OUT_OF_TIME = 2 };

// The nodes that are to be visited, a bit each: in this cycle, and in the next ones when they wake by themselves.
class Agenda {
  static constexpr int64_t SLOTS = 1024;
  int64_t width;
  std::vector<uint64_t> words;
  std::vector<uint64_t> wheel;

 public:
  int64_t timed = 0;  // nodes that sleep until a cycle that is known

  explicit Agenda(int64_t count) : width((count + 63) / 64), words(width, 0), wheel(width * SLOTS, 0) {}
  static int64_t reach(int64_t cycles) { return cycles < SLOTS ? cycles : SLOTS - 1; }
  void wake(int64_t node) { words[node >> 6] |= uint64_t{1} << (node & 63); }
  void sleep(int64_t node) { words[node >> 6] &= ~(uint64_t{1} << (node & 63)); }
  void wake_in(int64_t cycle, int64_t node) {
    wheel[(cycle & (SLOTS - 1)) * width + (node >> 6)] |= uint64_t{1} << (node & 63);
    ++timed;
  }
  // Calls visit(node) for those awake now; one that wakes meanwhile could not move before the next cycle anyway.
  template <class Visit>
  void each(int64_t now, Visit visit) {
    uint64_t* due = &wheel[(now & (SLOTS - 1)) * width];
    for (int64_t i = 0; i < width; ++i) {
      words[i] |= due[i];
      due[i] = 0;
      for (uint64_t left = words[i]; left; left &= left - 1) visit(64 * i + __builtin_ctzll(left));
    }
  }
};

// The simulated graph.
class Simulation {
 public:
  std::vector<Source> sources;
  std::vector<Fifo> fifos;
  std::vector<Node> nodes;
  Agenda agenda;

  Simulation(int64_t node_count, int64_t fifo_count) : fifos(fifo_count), nodes(node_count), agenda(node_count) {
    sources.reserve(node_count);
    for (int64_t i = 0; i < node_count; ++i) agenda.wake(i);
  }

  // Makes up for the cycles before `now` that a node slept through.
  void settle(Node& node, int64_t now) {
    const Mode mode = node.mode;
    if (mode == AWAKE) return;
    const int64_t cycles = now - node.since - 1;
    node.mode = AWAKE;
    if (mode == FOR_ROOM) {
      node.blocked += cycles;
    } else if (mode == STARVED) {
      node.starved += cycles;
    } else if (mode == STARVED_MOVING) {
      node.starved += cycles;
      node.moves += cycles;
      if (node.until) --agenda.timed;
    } else {
      --agenda.timed;
      run_quietly(node, node.since + 1, cycles);
    }
  }

  // One cycle of one node; returns whether anything moved.
  bool visit(int64_t self, int64_t now) {
    Node& node = nodes[self];
    if (node.mode == QUIET && now < node.until) {
      agenda.sleep(self);
      return true;
    }
    settle(node, now);
    if (node.unvisited || (node.left == 0 && !node.in_flight())) {
      agenda.sleep(self);
      return false;
    }
    const uint32_t leaving = node.leaving();
    if (const Fifo* full = full_fifo(node, leaving, now)) {
      ++node.blocked;
      if (full->written - full->read >= full->depth) sleep(node, self, FOR_ROOM, now, 0);
      return false;
    }
    if (node.style == STALLING && node.left == 0) {
      agenda.sleep(self);
      return false;
    }
    const bool in_flight = node.in_flight();
    const bool draining = node.style == DRAINED && node.of_frame == node.trips && in_flight;
    const bool starts = node.cooldown == 0 && node.left > 0 && !draining;
    const Fifo* missing = starts ? missing_beat(node, now) : nullptr;
    if (missing && node.style != FLUSHING) {
      ++node.starved;
      if (missing->empty()) sleep(node, self, STARVED, now, 0);
      return missing->source && !missing->empty();
    }
    const bool moved = in_flight || node.cooldown > 0 || !missing;
    if (leaving) leave(node, leaving, now);
    if (node.cooldown > 0) {
      --node.cooldown;
      ++node.busy;
    } else if (missing) {
      ++node.starved;
    } else if (starts) {
      start(node, now);
      ++node.busy;
    }
    ++node.moves;
    if (!missing) {
      rest(node, self, now);
    } else if (missing->empty()) {
      // It is visited again when the next beat leaves.
      const int64_t next = node.pending() ? now + 1 + Agenda::reach(node.at(node.first).move - node.moves) : 0;
      if (next != now + 1) sleep(node, self, STARVED_MOVING, now, next);
    }
    return moved || (missing && missing->source);
  }

  // What a node waits for: 2 * fifo to read it, 2 * fifo + 1 to write it, -1 for nothing.
  int64_t waits(Node& node) {
    if (node.unvisited) {
      const Fifo& fifo = *node.writes[0].fifo;
      return fifo.source->reads + 2 < fifo.source->total ? 2 * number(fifo) + 1 : -1;
    }
    if (node.left == 0 && !node.in_flight()) return -1;
    const uint32_t leaving = node.leaving();
    int64_t found = -1;
    for (std::size_t w = 0; w < node.writes.size(); ++w) {
      const Fifo& fifo = *node.writes[w].fifo;
      if ((leaving >> w & 1) && fifo.written - fifo.read >= fifo.depth) found = 2 * number(fifo) + 1;
    }
    if (found >= 0 || node.left == 0) return found;
    for (const Port& port : node.reads) {
      if (port.used() && port.fifo->empty()) found = 2 * number(*port.fifo);
    }
    return found;
  }

 private:
  int64_t number(const Fifo& fifo) const { return &fifo - fifos.data(); }

  void sleep(Node& node, int64_t self, Mode mode, int64_t now, int64_t until) {
    node.mode = mode;
    node.since = now;
    node.until = until;
    agenda.sleep(self);
    if (until) agenda.wake_in(until, self);
  }

  // Lets a node sleep through the cycles from the next one on in which its iterations neither read nor write.
  void rest(Node& node, int64_t self, int64_t now) {
    if (node.sink || node.left == 0) return;
    int64_t iterations = node.left;
    if (node.style == DRAINED && node.trips - node.of_frame < iterations) iterations = node.trips - node.of_frame;
    for (const Port& port : node.writes) {
      const int64_t unused = port.used() ? 0 : port.left;
      if (unused < iterations) iterations = unused;
    }
    for (const Port& port : node.reads) {
      const int64_t unused = !port.used() ? port.left : port.fifo->source ? certain(port) : 0;
      if (unused < iterations) iterations = unused;
    }
    int64_t cycles = node.cooldown + iterations * node.interval;
    if (node.pending() && node.at(node.first).move - node.moves < cycles) cycles = node.at(node.first).move - node.moves;
    cycles = Agenda::reach(cycles);
    if (cycles > 1) sleep(node, self, QUIET, now, now + 1 + cycles);
  }

  static int64_t certain(const Port& port) {
    const int64_t beats = port.fifo->source->certain();
    return beats < port.left ? beats : port.left;
  }

  // Runs a node for `cycles` cycles from `first` on, in which it only counts, reads sources and starts iterations.
  void run_quietly(Node& node, int64_t first, int64_t cycles) {
    node.busy += cycles;
    const int64_t move = node.moves + node.cooldown, begin = first + node.cooldown;
    node.moves += cycles;
    if (cycles <= node.cooldown) {
      node.cooldown -= cycles;
      return;
    }
    const int64_t open = cycles - node.cooldown;
    const int64_t count = (open + node.interval - 1) / node.interval;
    node.cooldown = count * node.interval - open;
    node.last_start = move + (count - 1) * node.interval;
    node.left -= count;
    node.of_frame += count;
    for (Port& port : node.writes) port.advance(count);
    for (Port& port : node.reads) {
      if (port.used()) {
        port.fifo->source->read(begin, node.interval, count);
      }
      port.advance(count);
    }
  }

  // The first FIFO that the next iteration reads in vain, or none.
  const Fifo* missing_beat(const Node& node, int64_t now) const {
    for (const Port& port : node.reads) {
      if (port.used() && !port.fifo->readable(now)) return port.fifo;
    }
    return nullptr;
  }

  // The first full FIFO that the iteration at the end of the pipeline writes, or none.
  const Fifo* full_fifo(const Node& node, uint32_t leaving, int64_t now) const {
    for (std::size_t i = 0; leaving >> i; ++i) {
      const Fifo& fifo = *node.writes[i].fifo;
      if ((leaving >> i & 1) && fifo.occupied(now) >= fifo.depth) return &fifo;
    }
    return nullptr;
  }

  void leave(Node& node, uint32_t leaving, int64_t now) {
    for (std::size_t i = 0; leaving >> i; ++i) {
      if (!(leaving >> i & 1)) continue;
      Fifo& fifo = *node.writes[i].fifo;
      const int64_t needed = fifo.occupied(now) + 1;
      if (needed > fifo.high_water) fifo.high_water = needed;
      ++fifo.written;
      fifo.last_write = now;
      agenda.wake(fifo.reader);
    }
    ++node.first;
  }

  void start(Node& node, int64_t now) {
    for (Port& port : node.reads) {
      if (port.used()) {
        Fifo& fifo = *port.fifo;
        if (fifo.source) {
          fifo.source->read(now);
        } else {
          ++fifo.read;
          fifo.last_read = now;
          agenda.wake(fifo.writer);
        }
      }
      port.advance();
    }
    uint32_t writes = 0;
    for (std::size_t i = 0; i < node.writes.size(); ++i) {
      if (node.writes[i].used()) writes |= 1u << i;
      node.writes[i].advance();
    }
    if (writes) node.at(node.behind++) = {node.moves + node.depth, writes};
    if (node.of_frame == node.trips) node.of_frame = 0;
    --node.left;
    if (++node.of_frame == node.trips) ++node.taken;
    node.last_start = node.moves;
    node.cooldown = node.interval - 1;
  }
};

// Whether a Source can stand for a node.
bool is_source(const Node& node) {
  if (!node.reads.empty() || node.writes.size() != 1 || node.interval != 1 || node.sink) return false;
  const Port& port = node.writes[0];
  return port.run_count == 1 && port.used() && port.left == node.trips && port.fifo->depth == 2;
}

}  // namespace

// nodes: for each the iterations of a frame, interval, depth, style, read ports, write ports.
// ports: for each its FIFO, first run, runs. runs: for each iterations, used.
// sinks: how many nodes, the last ones, take outputs; a frame is complete when each has taken its share of it.
// tail: frames that come after the `frames` that count, and push the last of them out of pipelines that stand still.
// middle, patience: the run is given up when the frames after frame `middle` take longer than `patience` cycles.
extern "C" int64_t muxflow_simulate(int64_t node_count, const int64_t* nodes, const int64_t* ports, const int64_t* runs,
                                    int64_t fifo_count, const int64_t* depths, int64_t sinks, int64_t frames,
                                    int64_t tail, int64_t middle, int64_t patience, int64_t* completions,
                                    int64_t* shares, int64_t* high_water, int64_t* waits, int64_t* cycles) {
  const Run* table = reinterpret_cast<const Run*>(runs);
  Simulation all(node_count, fifo_count);
  for (int64_t i = 0; i < fifo_count; ++i) all.fifos[i].depth = depths[i];
  const int64_t* port = ports;
  for (int64_t i = 0; i < node_count; ++i) {
    const int64_t* entry = nodes + 6 * i;
    Node& node = all.nodes[i];
    node.trips = entry[0];
    node.interval = entry[1];
    node.depth = entry[2];
    node.style = entry[3];
    node.left = node.trips * (frames + tail);
    node.last_start = -1 - node.depth;
    node.sink = i >= node_count - sinks;
    for (int64_t p = 0; p < entry[4] + entry[5]; ++p, port += 3) {
      const Port made = {&all.fifos[port[0]], table + port[1], port[2], 0, table[port[1]].count};
      (p < entry[4] ? node.reads : node.writes).push_back(made);
      (p < entry[4] ? made.fifo->reader : made.fifo->writer) = i;
    }
    if (is_source(node)) {
      all.sources.emplace_back(node.depth, node.style == DRAINED ? node.trips : node.left, node.left, node.style == STALLING);
      node.writes[0].fifo->source = &all.sources.back();
      node.unvisited = true;
    }
    std::size_t size = 1;
    while (size <= static_cast<std::size_t>(node.depth)) size *= 2;
    node.pipeline.resize(size);
  }
  int64_t frames_done = 0;  // that the slowest of the sinks has taken
  int64_t limit = INT64_MAX;
  int64_t outcome = FINISHED;
  int64_t now = 0;
  for (;; ++now) {
    if (now >= limit) {
      outcome = OUT_OF_TIME;
      break;
    }
    bool moved = false;
    all.agenda.each(now, [&](int64_t i) { moved |= all.visit(i, now); });
    int64_t done = frames;
    for (int64_t i = node_count - sinks; i < node_count; ++i) {
      if (all.nodes[i].taken < done) done = all.nodes[i].taken;
    }
    for (; frames_done < done; ++frames_done) {
      completions[frames_done] = now + 1;
      if (frames_done == middle && patience < INT64_MAX - now) limit = now + 1 + patience;
    }
    if (frames_done == frames) break;
    if (!moved && all.agenda.timed == 0) {
      outcome = DEADLOCK;
      break;
    }
  }
  const int64_t end = outcome == OUT_OF_TIME ? now : now + 1;
  for (Node& node : all.nodes) all.settle(node, end);
  for (int64_t i = 0; i < fifo_count; ++i) high_water[i] = all.fifos[i].high_water;
  for (int64_t i = 0; i < node_count; ++i) {
    Node& node = all.nodes[i];
    if (node.unvisited) {
      Source& source = *node.writes[0].fifo->source;
      source.finish(end, node.busy, node.blocked);
      high_water[node.writes[0].fifo - all.fifos.data()] = source.high_water;
    }
    shares[3 * i] = node.busy;
    shares[3 * i + 1] = node.starved;
    shares[3 * i + 2] = node.blocked;
    waits[i] = all.waits(node);
  }
  *cycles = end;
  return outcome;
}
