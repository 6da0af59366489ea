// Skips whole periods of the cycle simulation once its state recurs: exact, and as fast for large maps as for small ones.
#ifndef MUXFLOW_TIMING_REPETITION_HPP
#define MUXFLOW_TIMING_REPETITION_HPP

#include <algorithm>
#include <cstdint>
#include <vector>

#include "timing_simulation.hpp"

namespace {

// How far the simulation is, and when frames were complete.
struct Progress {
  int64_t frames;
  int64_t middle, patience;
  int64_t* completions;
  int64_t now = 0;
  int64_t done = 0;
  int64_t limit = FOREVER;

  Progress(int64_t frames, int64_t middle, int64_t patience, int64_t* completions)
      : frames(frames), middle(middle), patience(patience), completions(completions) {}
  void complete(int64_t end) {
    completions[done] = end;
    if (done == middle && patience < FOREVER - end) limit = end + patience;
    ++done;
  }
};

// Let the state of cycle t be that of an earlier cycle s: pipelines, initiation intervals and sources alike, every FIFO as
// full, and every access pattern such that from s on each iteration has the uses of the one as many iterations later as its
// node has started from s to t. What a node does in a cycle follows from these alone, so that the cycles from t to
// t + (t - s) repeat those from s to t, and so on while the patterns go on like that and no node starts its last iteration.
// A FIFO may also be fuller in t than in s, or less full, where its writer and reader would never have waited for it: they
// see no difference until it comes to its ends.
//
// Looked at is the end of every row of one node, the slowest of those that are at work; compared with the state of a look
// that is kept until so many looks again have passed, which doubles each time (Brent's method).
class Repetition {
  Simulation& all;
  const int64_t sinks;
  int64_t clock = -1;
  int64_t looks = 0, span = 1;
  int64_t stride = 1;  // fewer iterations than a row, as long as most nodes have not begun
  // What was kept.
  int64_t since = 0, done = 0;
  std::vector<Node> nodes;
  std::vector<Fifo> fifos;
  std::vector<Source> sources;

 public:
  Repetition(Simulation& all, int64_t sinks, bool enabled) : all(all), sinks(sinks) {
    if (enabled) keep({0, 0, 0, nullptr});
  }

  // Looks whether the state at the end of a cycle is the one kept, and skips the periods that follow.
  void look(Progress& progress) {
    all.marked = false;
    for (std::size_t i = 0; i < all.nodes.size(); ++i) {
      all.settle(all.nodes[i], progress.now + 1);
      all.agenda.wake(i);
    }
    const int64_t periods = count(progress);
    if (periods > 0) {
      skip(progress, periods);
      span = 1;
    } else if (++looks < span && all.nodes[clock].left > 0) {
      set_mark();
      return;
    }
    span *= 2;
    looks = 0;
    keep(progress);
  }

 private:
  void set_mark() {
    Node& node = all.nodes[clock];
    const int64_t row = std::min(node.row, stride);
    node.mark = node.left > row ? node.left - row : 0;
  }

  void keep(const Progress& progress) {
    if (clock >= 0) all.nodes[clock].mark = -1;
    clock = -1;
    for (std::size_t i = 0; i < all.nodes.size(); ++i) {
      const Node& node = all.nodes[i];
      if (node.unvisited || node.left == 0) continue;
      if (clock < 0 || (node.left < node.total && work(node) > work(all.nodes[clock]))) clock = i;
    }
    if (clock < 0) return;
    set_mark();
    if (stride < all.nodes[clock].row) stride *= 2;
    for (Fifo& fifo : all.fifos) {
      fifo.high_water = fifo.most();
      fifo.peak = 0;
      fifo.least = fifo.written - fifo.read;
    }
    since = progress.now;
    done = progress.done;
    nodes = all.nodes;
    fifos = all.fifos;
    sources = all.sources;
  }

  static int64_t work(const Node& node) { return node.trips * node.interval; }

  // How many periods may be skipped; 0 where the state is not the one kept.
  int64_t count(const Progress& progress) {
    int64_t most = FOREVER;
    const int64_t period = progress.now - since, finished = progress.done - done;
    for (std::size_t i = 0; i < nodes.size() && most > 0; ++i) {
      if (!nodes[i].unvisited) most = std::min(most, same(nodes[i], all.nodes[i]) ? room(nodes[i], all.nodes[i]) : 0);
    }
    for (std::size_t i = 0; i < fifos.size() && most > 0; ++i) {
      if (!fifos[i].source) most = std::min(most, room(fifos[i], all.fifos[i]));
    }
    for (std::size_t i = 0; i < sources.size() && most > 0; ++i) {
      most = std::min(most, room(sources[i], all.sources[i], progress.now));
    }
    if (most == FOREVER || most <= 0) return 0;
    for (std::size_t i = nodes.size() - sinks; i < nodes.size(); ++i) {
      if (all.nodes[i].taken - nodes[i].taken != finished) return 0;
    }
    int64_t limit = progress.limit;
    if (finished > 0) {
      most = std::min(most, (progress.frames - 1 - progress.done) / finished);
      const int64_t ahead = (progress.middle - progress.done) / finished + 1;  // the period in which the middle comes
      if (progress.middle >= progress.done && ahead <= most) {
        const int64_t end = progress.completions[progress.middle - ahead * finished] + ahead * period;
        if (progress.patience < FOREVER - end) limit = end + progress.patience;
      }
    }
    return std::min(most, (limit - 1 - progress.now) / period);
  }

  // Whether the pipelines are alike.
  static bool same(Node& then, Node& node) {
    const uint64_t flying = node.behind - node.first;
    if ((then.left == 0) != (node.left == 0) || then.cooldown != node.cooldown || then.behind - then.first != flying ||
        then.in_flight() != node.in_flight() ||
        (node.in_flight() && then.last_start - then.moves != node.last_start - node.moves)) {
      return false;
    }
    for (uint64_t i = 0; i < flying; ++i) {
      const Leaving &one = then.at(then.first + i), &other = node.at(node.first + i);
      if (one.move - then.moves != other.move - node.moves || one.writes != other.writes) return false;
    }
    return true;
  }

  // For how many periods a node goes on alike: with the next iteration beyond them, which it looks at.
  static int64_t room(const Node& then, const Node& node) {
    const int64_t started = then.left - node.left;
    if (started == 0) return FOREVER;
    int64_t most = (node.left - 1) / started;
    if (node.sink || node.style == DRAINED) {
      // What it does depends on where the frame ends.
      const int64_t begun = node.sink ? then.of_frame % node.trips : then.of_frame;
      if (started % node.trips) {
        most = std::min(most, (node.trips - 1 - begun) / started - 1);
      } else if (node.of_frame != then.of_frame && !node.sink) {
        return 0;
      }
    }
    for (const std::vector<Port>* ports : {&then.reads, &then.writes}) {
      for (const Port& port : *ports) {
        const int64_t regular = port.regular(started);
        if (regular != FOREVER) most = std::min(most, (regular - 1) / started - 1);
      }
    }
    return most;
  }

  // For how many periods neither end of a FIFO waits where it did not.
  static int64_t room(const Fifo& then, const Fifo& fifo) {
    const int64_t before = then.written - then.read, gain = fifo.written - fifo.read - before;
    if (gain == 0) return FOREVER;
    const int64_t fullest = std::max(before, fifo.peak);
    if (fifo.least < 1 || fullest >= fifo.depth) return 0;
    return gain > 0 ? (fifo.depth - 1 - fullest) / gain : (fifo.least - 1) / -gain;
  }

  // For how many periods a source goes on alike; three reads make its state anew.
  int64_t room(const Source& then, const Source& source, int64_t now) const {
    const int64_t read = source.reads - then.reads;
    if (read == 0) return then.ready <= since && then.next <= since ? FOREVER : 0;
    const int64_t settled = -source.depth - 1;
    if (read < 3 || std::max(then.ready - since, settled) != std::max(source.ready - now, settled) ||
        std::max(then.next - since, settled) != std::max(source.next - now, settled)) {
      return 0;
    }
    const int64_t most = (source.leaving - 3 - then.reads) / read - 1;
    return read % source.frame == 0 ? most : std::min(most, (source.frame - 3 - then.phase) / read - 1);
  }

  void skip(Progress& progress, int64_t periods) {
    const int64_t period = progress.now - since;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (!nodes[i].unvisited) skip(nodes[i], all.nodes[i], periods);
    }
    for (std::size_t i = 0; i < fifos.size(); ++i) {
      Fifo& fifo = all.fifos[i];
      const int64_t written = periods * (fifo.written - fifos[i].written), read = periods * (fifo.read - fifos[i].read);
      fifo.written += written;
      fifo.read += read;
      if (written > read) fifo.peak += written - read;
    }
    for (std::size_t i = 0; i < sources.size(); ++i) {
      Source& source = all.sources[i];
      const int64_t read = periods * (source.reads - sources[i].reads);
      if (read == 0) continue;
      source.reads += read;
      source.phase = (source.phase + read) % source.frame;
      for (int64_t* cycle : {&source.before, &source.ready, &source.next}) *cycle += periods * period;
    }
    progress.now += periods * period;
    const int64_t finished = progress.done - done;
    for (int64_t i = periods * finished; i > 0; --i) progress.complete(progress.completions[progress.done - finished] + period);
  }

  static void skip(const Node& then, Node& node, int64_t periods) {
    const int64_t started = periods * (then.left - node.left), moves = periods * (node.moves - then.moves);
    node.left -= started;
    for (Port& port : node.reads) port.jump(started);
    for (Port& port : node.writes) port.jump(started);
    if (node.of_frame > 0) node.of_frame = (node.of_frame - 1 + started) % node.trips + 1;
    node.taken += periods * (node.taken - then.taken);
    node.moves += moves;
    node.last_start += moves;
    for (uint64_t i = node.first; i < node.behind; ++i) node.at(i).move += moves;
    node.busy += periods * (node.busy - then.busy);
    node.starved += periods * (node.starved - then.starved);
    node.blocked += periods * (node.blocked - then.blocked);
  }
};

}  // namespace

#endif
