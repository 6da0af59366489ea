// Skips whole periods of the cycle simulation once its state recurs: exact, and as fast for large maps as for small ones.
#ifndef MUXFLOW_TIMING_REPETITION_HPP
#define MUXFLOW_TIMING_REPETITION_HPP

#include <algorithm>
#include <cstdint>
#include <deque>
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
//
// Looked at is, besides, the end of each frame, and compared with the ends of the last frames. Where all nodes have gone on
// by as many frames and no FIFO is fuller, the frames to come repeat those between. No beat waits for one of a later frame,
// in the whole graph, so that this tells when each frame of the run will be complete although frames stop coming; and all
// high-water marks, as each follows from when the beats before are written and read.
class Repetition {
  // What was kept of a state.
  struct State {
    int64_t since = 0, done = 0;
    std::vector<Node> nodes;
    std::vector<Fifo> fifos;
    std::vector<Source> sources;
  };
  static constexpr std::size_t ENDS = 4;  // ends of frames that are kept

  Simulation& all;
  const int64_t sinks;
  int64_t clock = -1;
  int64_t looks = 0, span = 1;
  int64_t stride = 1;  // fewer iterations than a row, as long as most nodes have not begun
  State kept;
  std::deque<State> ends;

 public:
  Repetition(Simulation& all, int64_t sinks, bool enabled) : all(all), sinks(sinks) {
    if (enabled) keep({0, 0, 0, nullptr});
  }

  // Looks whether the state at the end of a cycle is the one kept, and skips the periods that follow.
  void look(Progress& progress) {
    all.marked = false;
    wake(progress);
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

  // Looks at the end of a frame; where the frames repeat it tells when the others are complete, those within the limit.
  bool frames_repeat(Progress& progress) {
    wake(progress);
    for (const State& then : ends) {
      if (!same_frames(then, progress)) continue;
      const int64_t finished = progress.done - then.done, period = progress.now - then.since;
      while (progress.done < progress.frames) {
        const int64_t end = progress.completions[progress.done - finished] + period;
        if (end > progress.limit) break;
        progress.complete(end);
      }
      return true;
    }
    if (ends.size() == ENDS) ends.pop_back();
    ends.push_front(state(progress));
    return false;
  }

 private:
  void wake(const Progress& progress) {
    for (std::size_t i = 0; i < all.nodes.size(); ++i) {
      all.settle(all.nodes[i], progress.now + 1);
      all.agenda.wake(i);
    }
  }

  State state(const Progress& progress) const {
    return {progress.now, progress.done, all.nodes, all.fifos, all.sources};
  }

  // Whether all are as they were an equal number of frames before.
  bool same_frames(const State& then, const Progress& progress) {
    const int64_t finished = progress.done - then.done;
    for (std::size_t i = 0; i < all.nodes.size(); ++i) {
      const Node& before = then.nodes[i];
      Node& node = all.nodes[i];
      if (node.unvisited) continue;
      const bool going_on = node.left > 0 && before.left - node.left == finished * node.trips;
      if (!going_on || before.of_frame != node.of_frame || !same(before, node)) return false;
    }
    for (std::size_t i = 0; i < all.fifos.size(); ++i) {
      const Fifo &before = then.fifos[i], &fifo = all.fifos[i];
      if (!fifo.source && before.written - before.read != fifo.written - fifo.read) return false;
    }
    for (std::size_t i = 0; i < all.sources.size(); ++i) {
      const Source &before = then.sources[i], &source = all.sources[i];
      const bool in_phase = before.phase == source.phase || source.frame == source.total;
      const bool going_on = in_phase && source.reads + 3 <= source.leaving;
      if (!going_on || !same(then, before, source, progress.now)) return false;
    }
    return true;
  }

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
    kept = state(progress);
  }

  static int64_t work(const Node& node) { return node.trips * node.interval; }

  // How many periods may be skipped; 0 where the state is not the one kept.
  int64_t count(const Progress& progress) {
    int64_t most = FOREVER;
    const int64_t period = progress.now - kept.since, finished = progress.done - kept.done;
    for (std::size_t i = 0; i < kept.nodes.size() && most > 0; ++i) {
      if (!kept.nodes[i].unvisited) most = std::min(most, same(kept.nodes[i], all.nodes[i]) ? room(kept.nodes[i], all.nodes[i]) : 0);
    }
    for (std::size_t i = 0; i < kept.fifos.size() && most > 0; ++i) {
      if (!kept.fifos[i].source) most = std::min(most, room(kept.fifos[i], all.fifos[i]));
    }
    for (std::size_t i = 0; i < kept.sources.size() && most > 0; ++i) {
      const Source &then = kept.sources[i], &source = all.sources[i];
      most = std::min(most, same(kept, then, source, progress.now) ? room(then, source) : 0);
    }
    if (most == FOREVER || most <= 0) return 0;
    for (std::size_t i = kept.nodes.size() - sinks; i < kept.nodes.size(); ++i) {
      if (all.nodes[i].taken - kept.nodes[i].taken != finished) return 0;
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
  static bool same(const Node& then, Node& node) {
    const uint64_t flying = node.behind - node.first;
    if ((then.left == 0) != (node.left == 0) || then.cooldown != node.cooldown || then.behind - then.first != flying ||
        then.in_flight() != node.in_flight() ||
        (node.in_flight() && then.last_start - then.moves != node.last_start - node.moves)) {
      return false;
    }
    for (uint64_t i = 0; i < flying; ++i) {
      const Leaving &one = then.pipeline[(then.first + i) & (then.pipeline.size() - 1)], &other = node.at(node.first + i);
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

  // Whether a source is alike; three reads make its state anew.
  static bool same(const State& kept, const Source& then, const Source& source, int64_t now) {
    if (source.reads == then.reads) return then.ready <= kept.since && then.next <= kept.since;
    const int64_t settled = -source.depth - 1;
    return source.reads - then.reads >= 3 &&
           std::max(then.ready - kept.since, settled) == std::max(source.ready - now, settled) &&
           std::max(then.next - kept.since, settled) == std::max(source.next - now, settled);
  }

  // For how many periods it goes on alike.
  static int64_t room(const Source& then, const Source& source) {
    const int64_t read = source.reads - then.reads;
    if (read == 0) return FOREVER;
    const int64_t most = (source.leaving - 3 - then.reads) / read - 1;
    return read % source.frame == 0 ? most : std::min(most, (source.frame - 3 - then.phase) / read - 1);
  }

  void skip(Progress& progress, int64_t periods) {
    const int64_t period = progress.now - kept.since;
    for (std::size_t i = 0; i < kept.nodes.size(); ++i) {
      if (!kept.nodes[i].unvisited) skip(kept.nodes[i], all.nodes[i], periods);
    }
    for (std::size_t i = 0; i < kept.fifos.size(); ++i) {
      Fifo& fifo = all.fifos[i];
      const int64_t written = periods * (fifo.written - kept.fifos[i].written), read = periods * (fifo.read - kept.fifos[i].read);
      fifo.written += written;
      fifo.read += read;
      if (written > read) fifo.peak += written - read;
    }
    for (std::size_t i = 0; i < kept.sources.size(); ++i) {
      Source& source = all.sources[i];
      const int64_t read = periods * (source.reads - kept.sources[i].reads);
      if (read == 0) continue;
      source.reads += read;
      source.phase = (source.phase + read) % source.frame;
      for (int64_t* cycle : {&source.before, &source.ready, &source.next}) *cycle += periods * period;
    }
    progress.now += periods * period;
    const int64_t finished = progress.done - kept.done;
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
