#include "passes/sample_store.h"

#include <algorithm>
#include <mutex>

#include "core/parallel.h"
#include "core/progress.h"

namespace octet {

/// One session for each worker.
class SampleStore::Runner {
 public:
  Runner(const Program& program, const std::vector<ValueId>& values, const SampleTap& tap)
      : program_(program),
        values_(values),
        tap_(tap),
        workers_(static_cast<std::size_t>(std::max(thread_count(), 1))) {}

  Status run(int worker_index, std::int64_t sample, std::span<const Tensor> inputs) {
    OCTET_TRY(check_cancel());
    auto& worker = workers_[static_cast<std::size_t>(worker_index)];
    if (!worker.session) {
      OCTET_ASSIGN(worker.session, program_.session());
      worker.taps.values = values_;
      worker.taps.tap = [this, &worker](const TapView& view) { tap_(worker.sample, view); };
    }
    worker.sample = sample;
    OCTET_TRY(worker.session->run(inputs, &worker.taps));
    return {};
  }

 private:
  struct Worker {
    std::unique_ptr<Session> session;
    TapRequest taps;
    std::int64_t sample = 0;
  };
  const Program& program_;
  const std::vector<ValueId>& values_;
  const SampleTap& tap_;
  std::vector<Worker> workers_;
};

Status SampleStore::sweep(const Program& program, const std::vector<ValueId>& values,
                          const SampleTap& tap) {
  Runner runner(program, values, tap);
  if (!complete_) return read(runner);
  std::vector<Status> states(samples_.size());
  parallel_for_workers(slots(), [&](int worker, std::int64_t sample) {
    const auto& inputs = samples_[static_cast<std::size_t>(sample)];
    if (inputs.empty()) return;
    states[static_cast<std::size_t>(sample)] = runner.run(worker, sample, inputs);
  });
  for (const auto& status : states) OCTET_TRY(status);
  return {};
}

Status SampleStore::read(Runner& runner) {
  std::mutex mutex;
  std::size_t bytes = 0;
  samples_.clear();
  const auto visit = [&](int worker, const Batch& batch) -> Status {
    {
      const std::lock_guard lock(mutex);
      const auto slot = static_cast<std::size_t>(batch.first);
      if (samples_.size() <= slot) samples_.resize(slot + 1);
      for (const auto& input : batch.inputs) bytes += input.bytes();
      if (bytes <= byte_limit_) samples_[slot] = batch.inputs;
    }
    return runner.run(worker, batch.first, batch.inputs);
  };
  OCTET_ASSIGN(const auto count, source_(graph_, sample_limit_, visit));
  complete_ = bytes <= byte_limit_;
  if (!complete_) {
    for (auto& sample : samples_) sample.clear();
  }
  if (count == 0) return bad_input("no samples to round the weights on");
  return {};
}

}  // namespace octet
