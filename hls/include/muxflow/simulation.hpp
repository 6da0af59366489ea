// C simulation of a dataflow region: every process is a coroutine, every stream a bounded FIFO.
//
// A process runs until it must wait for a stream; the scheduler then resumes the next one that can go on. Without
// --bounded a stream starts with room for a few thousand bytes (small enough for the cache) and grows only when
// nothing else can run, so the result is that of unbounded streams. With --bounded a stream has exactly its depth, and
// a state in which nobody can run is a deadlock: it is reported with each waiting process and the stream it waits for.
// Never seen by a synthesis tool.
#ifndef MUXFLOW_SIMULATION_HPP
#define MUXFLOW_SIMULATION_HPP

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace muxflow {
namespace simulation {

class StreamBase {
 public:
  explicit StreamBase(const char* name_, std::size_t depth_) : name(name_), depth(depth_) {}
  virtual ~StreamBase() {}
  virtual bool can_read() const = 0;
  virtual bool can_write() const = 0;
  virtual void grow() = 0;
  const std::string name;
  const std::size_t depth;
};

class Scheduler {
 public:
  bool bounded = false;
  long frames = 1;
  std::map<std::string, std::FILE*> taps;  // stream name -> file that receives every element, 8 bytes each
  bool deadlocked = false;

  void spawn(const char* name, std::function<void()> body) {
    processes_.emplace_back(new Process);
    Process& process = *processes_.back();
    process.name = name;
    process.body = body;
    // Reserved, not committed: a kernel's line buffers live on the coroutine's stack.
    process.stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                         -1, 0);
    if (process.stack == MAP_FAILED) fail("no memory for the stack of a process");
    if (getcontext(&process.context) != 0) fail("getcontext failed");
    process.context.uc_stack.ss_sp = process.stack;
    process.context.uc_stack.ss_size = STACK_BYTES;
    process.context.uc_link = &main_;
    makecontext(&process.context, reinterpret_cast<void (*)()>(&Scheduler::enter), 0);
  }

  void run() {
    for (;;) {
      bool progress = false;
      bool all_done = true;
      for (auto& process : processes_) {
        if (process->done) continue;
        all_done = false;
        if (process->waits_for && !ready(*process)) continue;
        process->waits_for = nullptr;
        progress = true;
        current_ = process.get();
        resume(*process);
      }
      if (all_done) break;
      if (!progress && !grow_one()) {
        report_deadlock();
        break;
      }
    }
    for (auto& process : processes_) munmap(process->stack, STACK_BYTES);
    processes_.clear();
  }

  void wait(StreamBase* stream, bool reading) {
    current_->waits_for = stream;
    current_->reading = reading;
    if (_setjmp(current_->here) == 0) _longjmp(back_, 1);
  }

 private:
  static const std::size_t STACK_BYTES = std::size_t(256) << 20;

  struct Process {
    std::string name;
    std::function<void()> body;
    ucontext_t context;
    void* stack = nullptr;
    bool started = false;
    bool done = false;
    jmp_buf here;
    StreamBase* waits_for = nullptr;
    bool reading = false;
  };

  static void fail(const char* what) {
    std::fprintf(stderr, "csim: %s\n", what);
    std::exit(4);
  }

  static void enter();

  // The first entry changes stacks by swapcontext; later ones jump, which spares two system calls a switch.
  void resume(Process& process) {
    if (_setjmp(back_) != 0) return;
    if (process.started) _longjmp(process.here, 1);
    process.started = true;
    swapcontext(&main_, &process.context);
  }

  static bool ready(const Process& process) {
    return process.reading ? process.waits_for->can_read() : process.waits_for->can_write();
  }

  bool grow_one() {
    if (bounded) return false;
    for (auto& process : processes_) {
      if (!process->done && process->waits_for && !process->reading) {
        process->waits_for->grow();
        return true;
      }
    }
    return false;
  }

  void report_deadlock() {
    deadlocked = true;
    std::fprintf(stderr, "deadlock\n");
    for (auto& process : processes_) {
      if (process->done) continue;
      std::fprintf(stderr, "waiting %s %s %s %zu\n", process->name.c_str(), process->reading ? "reads" : "writes",
                   process->waits_for->name.c_str(), process->waits_for->depth);
    }
  }

  ucontext_t main_;
  jmp_buf back_;
  Process* current_ = nullptr;
  std::vector<std::unique_ptr<Process>> processes_;
};

inline Scheduler& scheduler() {
  static Scheduler instance;
  return instance;
}

inline void Scheduler::enter() {
  Scheduler& self = scheduler();
  for (long frame = 0; frame < self.frames; ++frame) self.current_->body();
  self.current_->done = true;
  _longjmp(self.back_, 1);
}

template <class T> class Stream : public StreamBase {
 public:
  explicit Stream(const char* name_ = "stream", std::size_t depth_ = 2) : StreamBase(name_, depth_) {
    std::size_t capacity = 16;
    if (scheduler().bounded) {
      limit_ = depth_ < 1 ? 1 : depth_;
      while (capacity < limit_) capacity *= 2;
    } else {
      while (capacity * 2 * sizeof(T) <= CACHE_BYTES || capacity < depth_) capacity *= 2;
      limit_ = capacity;
    }
    ring_.resize(capacity);
    mask_ = capacity - 1;
    auto tap = scheduler().taps.find(name_);
    tap_ = tap == scheduler().taps.end() ? nullptr : tap->second;
  }

  T read() {
    if (head_ == tail_) scheduler().wait(this, true);
    return ring_[head_++ & mask_];
  }

  void write(const T& value) {
    if (tail_ - head_ == limit_) scheduler().wait(this, false);
    if (tap_) record(value);
    ring_[tail_++ & mask_] = value;
  }

  bool empty() const { return head_ == tail_; }
  bool can_read() const override { return head_ != tail_; }
  bool can_write() const override { return tail_ - head_ != limit_; }

  void grow() override {
    std::vector<T> larger(ring_.size() * 2);
    const std::size_t held = tail_ - head_;
    for (std::size_t i = 0; i < held; ++i) larger[i] = ring_[(head_ + i) & mask_];
    ring_.swap(larger);
    head_ = 0;
    tail_ = held;
    limit_ = ring_.size();
    mask_ = ring_.size() - 1;
  }

 private:
  static const std::size_t CACHE_BYTES = 32768;

  void record(const T& value) {
    for (int lane = 0; lane < T::LANES; ++lane) {
      const long long element = static_cast<long long>(value.get(lane));
      if (std::fwrite(&element, sizeof element, 1, tap_) != 1) {
        std::fprintf(stderr, "csim: cannot write the tap of %s\n", name.c_str());
        std::exit(4);
      }
    }
  }

  std::vector<T> ring_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t mask_ = 0;
  std::size_t limit_ = 0;
  std::FILE* tap_ = nullptr;
};

}  // namespace simulation
}  // namespace muxflow

#endif
