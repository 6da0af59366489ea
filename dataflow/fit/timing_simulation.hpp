// The nodes and FIFOs of the cycle simulation, cycle by cycle; the semantics are written in docs/design/timing.md.
//
// A node is visited only in cycles in which it may meet another one: while its iterations neither read nor write, and while
// it waits, it sleeps, and what it did meanwhile is made up for when it wakes. A source that writes a beat in every
// iteration into a FIFO of depth 2 is not visited at all (see Source).
#ifndef MUXFLOW_TIMING_SIMULATION_HPP
#define MUXFLOW_TIMING_SIMULATION_HPP

#include <cstdint>
#include <vector>

#include "timing_port.hpp"
#include "timing_source.hpp"

namespace {

struct Fifo {
  int64_t depth;
  int64_t writer = 0;
  int64_t reader = 0;
  int64_t written = 0;
  int64_t read = 0;
  int64_t last_write = -1;
  int64_t last_read = -1;
  int64_t high_water = 0;  // up to the state that was kept last (see Repetition)
  int64_t peak = 0;        // the same since then
  int64_t least = 0;       // the fewest beats in it since then
  Source* source = nullptr;  // that writes it, where it is not visited

  // What reader and writer see is the state at the start of the cycle.
  bool readable(int64_t now) const {
    return source ? source->readable(now) : written - read - (last_write == now ? 1 : 0) > 0;
  }
  bool empty() const { return source ? source->ended() : written == read; }
  int64_t most() const { return peak > high_water ? peak : high_water; }
  int64_t occupied(int64_t now) const { return written - read + (last_read == now ? 1 : 0); }
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
  int64_t row;        // iterations after which to look whether the state recurs
  int64_t total;      // iterations of all frames
  int64_t left;       // those still to start
  int64_t mark = -1;  // what is left at the next look, where this node sets the pace of them
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
  const Fifo* awaited = nullptr;  // the FIFO on which it waits for room or a beat
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
  std::vector<Fifo> fifos;  // none moves: nodes point to them
  std::vector<Node> nodes;
  Agenda agenda;
  bool marked = false;  // a node has come to its mark in this cycle

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
      if (full->written - full->read >= full->depth) sleep(node, self, FOR_ROOM, now, 0, full);
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
      if (missing->empty()) sleep(node, self, STARVED, now, 0, missing);
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
    if (missing) {
      if (missing->empty()) starve(node, self, now, missing);
    } else if (const Fifo* empty = node.style == FLUSHING && node.cooldown == 0 && node.left > 0 ? empty_fifo(node) : nullptr) {
      // A beat that comes in this cycle wakes it for the next one.
      starve(node, self, now, empty);
    } else {
      rest(node, self, now);
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

  void sleep(Node& node, int64_t self, Mode mode, int64_t now, int64_t until, const Fifo* awaited = nullptr) {
    node.mode = mode;
    node.awaited = awaited;
    node.since = now;
    node.until = until;
    agenda.sleep(self);
    if (until) agenda.wake_in(until, self);
  }

  // Lets a node sleep whose pipeline moves on while a beat is missing, until that comes or the next of its own leaves.
  void starve(Node& node, int64_t self, int64_t now, const Fifo* missing) {
    const int64_t next = node.pending() ? now + 1 + Agenda::reach(node.at(node.first).move - node.moves) : 0;
    if (next != now + 1) sleep(node, self, STARVED_MOVING, now, next, missing);
  }

  // Wakes a node that waits for what happened to a FIFO.
  void tell(int64_t self, const Fifo& fifo) {
    if (nodes[self].awaited == &fifo) agenda.wake(self);
  }

  // Lets a node sleep through the cycles from the next one on in which its iterations neither read nor write; the last one
  // starts while it is awake, and so does the one at its mark.
  void rest(Node& node, int64_t self, int64_t now) {
    if (node.sink || node.left == 0) return;
    int64_t iterations = node.left - 1 - (node.mark > 0 ? node.mark : 0);
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

  // The first FIFO without a beat that the next iteration reads, or none.
  static const Fifo* empty_fifo(const Node& node) {
    for (const Port& port : node.reads) {
      if (port.used() && port.fifo->empty()) return port.fifo;
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
      if (needed > fifo.peak) fifo.peak = needed;
      ++fifo.written;
      fifo.last_write = now;
      tell(fifo.reader, fifo);
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
          if (fifo.written - fifo.read < fifo.least) fifo.least = fifo.written - fifo.read;
          tell(fifo.writer, fifo);
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
    if (--node.left == node.mark) marked = true;
    if (++node.of_frame == node.trips) ++node.taken;
    node.last_start = node.moves;
    node.cooldown = node.interval - 1;
  }
};

}  // namespace

#endif
