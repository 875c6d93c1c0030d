#include "passes/sample_store.h"

#include <algorithm>
#include <mutex>

#include "core/parallel.h"
#include "core/progress.h"

namespace octet {

namespace {

/// One session for each worker.
class Runner {
 public:
  Runner(const Program& program, const std::vector<ValueId>& values,
         const SampleStore::SampleTap& tap)
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
  const SampleStore::SampleTap& tap_;
  std::vector<Worker> workers_;
};

}  // namespace

Result<std::int64_t> SampleStore::read() {
  std::mutex mutex;
  std::size_t bytes = 0;
  const auto visit = [&](int, const Batch& batch) -> Status {
    const std::lock_guard lock(mutex);
    for (const auto& input : batch.inputs) bytes += input.bytes();
    const auto slot = static_cast<std::size_t>(batch.first);
    if (samples_.size() <= slot) samples_.resize(slot + 1);
    if (bytes <= byte_limit_) samples_[slot] = batch.inputs;
    return {};
  };
  OCTET_ASSIGN(const auto count, source_(graph_, sample_limit_, visit));
  if (count == 0) return bad_input("no samples to round the weights on");
  if (bytes > byte_limit_) samples_ = {};
  return count;
}

Status SampleStore::sweep(const Program& program, const std::vector<ValueId>& values,
                          const SampleTap& tap) const {
  Runner runner(program, values, tap);
  if (!kept()) {
    OCTET_TRY(source_(graph_, sample_limit_, [&](int worker, const Batch& batch) {
      return runner.run(worker, batch.first, batch.inputs);
    }));
    return {};
  }
  return parallel_try(static_cast<std::int64_t>(samples_.size()),
                      [&](int worker, std::int64_t sample) -> Status {
                        const auto& inputs = samples_[static_cast<std::size_t>(sample)];
                        if (inputs.empty()) return {};  // one that could not be decoded
                        return runner.run(worker, sample, inputs);
                      });
}

}  // namespace octet
