// Cycle simulation of a folded graph: the entry that timing.py calls; the semantics are written in docs/design/timing.md.
#include <cstdint>

#include "timing_repetition.hpp"
#include "timing_simulation.hpp"

namespace {

// Whether a Source can stand for a node.
bool is_source(const Node& node) {
  if (!node.reads.empty() || node.writes.size() != 1 || node.interval != 1 || node.sink) return false;
  const Port& port = node.writes[0];
  return port.part_count == 1 && port.used() && port.here->count == node.trips && port.fifo->depth == 2;
}

}  // namespace

// nodes: for each the iterations of a frame, interval, depth, style, iterations of a row, read ports, write ports.
// ports: for each its FIFO, first part, parts. parts: for each its first run, runs, how often they are played, iterations
// of them. runs: for each iterations, used.
// sinks: how many nodes, the last ones, take outputs; a frame is complete when each has taken its share of it.
// tail: frames that come after the `frames` that count, and push the last of them out of pipelines that stand still.
// middle, patience: the run is given up when the frames after frame `middle` take longer than `patience` cycles.
// skipping: whether periods are skipped; the outcome is the same either way.
// to_end: whether the run goes on when its frames repeat; the completions and high-water marks are the same either way.
// 2: until no node moves any more, though the last output may have left before.
extern "C" int64_t muxflow_simulate(int64_t node_count, const int64_t* nodes, const int64_t* ports, const int64_t* parts,
                                    const int64_t* runs, int64_t fifo_count, const int64_t* depths, int64_t sinks,
                                    int64_t frames, int64_t tail, int64_t middle, int64_t patience, int64_t skipping,
                                    int64_t to_end, int64_t* completions, int64_t* shares, int64_t* high_water,
                                    int64_t* waits, int64_t* cycles) {
  const Run* run_table = reinterpret_cast<const Run*>(runs);
  const Part* part_table = reinterpret_cast<const Part*>(parts);
  Simulation all(node_count, fifo_count);
  for (int64_t i = 0; i < fifo_count; ++i) all.fifos[i].depth = depths[i];
  const int64_t* port = ports;
  for (int64_t i = 0; i < node_count; ++i) {
    const int64_t* entry = nodes + 7 * i;
    Node& node = all.nodes[i];
    node.trips = entry[0];
    node.interval = entry[1];
    node.depth = entry[2];
    node.style = entry[3];
    node.row = entry[4];
    node.left = node.total = node.trips * (frames + tail);
    node.last_start = -1 - node.depth;
    node.sink = i >= node_count - sinks;
    for (int64_t p = 0; p < entry[5] + entry[6]; ++p, port += 3) {
      const Port made(&all.fifos[port[0]], run_table, part_table + port[1], port[2], node.trips);
      (p < entry[5] ? node.reads : node.writes).push_back(made);
      (p < entry[5] ? made.fifo->reader : made.fifo->writer) = i;
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
  Progress progress = {frames, middle, patience, completions};
  Repetition repetition(all, sinks, skipping != 0);
  int64_t outcome = FINISHED;
  for (;; ++progress.now) {
    const int64_t now = progress.now;
    if (now >= progress.limit) {
      outcome = OUT_OF_TIME;
      break;
    }
    bool moved = false;
    all.agenda.each(now, [&](int64_t i) { moved |= all.visit(i, now); });
    int64_t done = frames;
    for (int64_t i = node_count - sinks; i < node_count; ++i) {
      if (all.nodes[i].taken < done) done = all.nodes[i].taken;
    }
    const bool completed = progress.done < done;
    while (progress.done < done) progress.complete(now + 1);
    if (progress.done == frames && to_end < 2) break;
    if (completed && !to_end && repetition.frames_repeat(progress)) {
      if (progress.done < frames) outcome = OUT_OF_TIME;
      break;
    }
    if (!moved && all.agenda.timed == 0) {
      if (progress.done < frames) outcome = DEADLOCK;
      break;
    }
    if (all.marked) repetition.look(progress);
  }
  const int64_t end = outcome == OUT_OF_TIME ? progress.now : progress.now + 1;
  for (Node& node : all.nodes) all.settle(node, end);
  for (int64_t i = 0; i < fifo_count; ++i) high_water[i] = all.fifos[i].most();
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
