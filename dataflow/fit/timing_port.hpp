// Where a node of the cycle simulation is in the access pattern of one of its ports.
#ifndef MUXFLOW_TIMING_PORT_HPP
#define MUXFLOW_TIMING_PORT_HPP

#include <cstdint>

namespace {

constexpr int64_t FOREVER = INT64_MAX;

struct Run {
  int64_t count;
  int64_t used;
};

// So many runs, which are played `repeat` times.
struct Part {
  int64_t first;
  int64_t runs;
  int64_t repeat;
  int64_t period;  // iterations of its runs
};

struct Fifo;

struct Port {
  Fifo* fifo;
  const Run* runs;
  const Part* parts;
  int64_t part_count;
  int64_t trips;
  int64_t part = 0, turn = 0, run = 0;
  const Run* here;  // the run that it is in
  int64_t left;     // of the run

  Port(Fifo* fifo, const Run* runs, const Part* parts, int64_t part_count, int64_t trips)
      : fifo(fifo), runs(runs), parts(parts), part_count(part_count), trips(trips) {
    enter();
  }
  bool used() const { return here->used != 0; }
  void advance(int64_t iterations = 1) {
    if ((left -= iterations) > 0) return;
    if (++run == parts[part].runs) {
      run = 0;
      if (++turn == parts[part].repeat) {
        turn = 0;
        if (++part == part_count) part = 0;
      }
    }
    enter();
  }
  // The iteration of the frame that comes next.
  int64_t position() const {
    int64_t found = turn * parts[part].period + here->count - left;
    for (int64_t i = 0; i < part; ++i) found += parts[i].repeat * parts[i].period;
    for (const Run* one = runs + parts[part].first; one != here; ++one) found += one->count;
    return found;
  }
  // Goes on by any number of iterations.
  void jump(int64_t iterations) {
    int64_t ahead = (position() + iterations % trips) % trips;
    for (part = 0; ahead >= parts[part].repeat * parts[part].period; ++part) ahead -= parts[part].repeat * parts[part].period;
    turn = ahead / parts[part].period;
    ahead %= parts[part].period;
    for (run = 0, enter(); ahead >= left; ++run, enter()) ahead -= left;
    left -= ahead;
  }
  // How many iterations from here on have, each, the use of the one `period` iterations later or earlier: a lower bound.
  int64_t regular(int64_t period) const {
    const Part& now = parts[part];
    if (period % trips == 0 || (part_count == 1 && (now.runs == 1 || period % now.period == 0))) return FOREVER;
    if (period % now.period) return left;
    int64_t past = here->count - left;
    for (const Run* one = runs + now.first; one != here; ++one) past += one->count;
    return (now.repeat - turn) * now.period - past;
  }

 private:
  void enter() {
    here = runs + parts[part].first + run;
    left = here->count;
  }
};

}  // namespace

#endif
