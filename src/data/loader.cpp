#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <new>

#include "core/log.h"
#include "core/parallel.h"
#include "data/dataset.h"

namespace octet {
namespace {

/// Stacks tensors of batch dimension 1.
Result<Tensor> stack(const std::vector<std::vector<Tensor>>& samples, std::size_t input,
                     const std::vector<std::string>& names) {
  const Tensor& first = samples[0][input];
  if (samples.size() == 1) return first;
  Shape shape = first.shape();
  shape[0] = static_cast<std::int64_t>(samples.size());
  OCTET_ASSIGN(Tensor out, Tensor::create(first.dtype(), std::move(shape)));
  auto* to = out.mutable_raw();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Tensor& tensor = samples[i][input];
    if (tensor.shape() != first.shape() || tensor.dtype() != first.dtype()) {
      return bad_input(
          "{} has shape {} but {} has {}, so that they do not go into one batch: use a recipe "
          "that gives one size",
          names[i], to_string(tensor.shape()), names[0], to_string(first.shape()));
    }
    std::memcpy(to, tensor.raw(), tensor.bytes());
    to += tensor.bytes();
  }
  return out;
}

class Sweep {
 public:
  Sweep(const Dataset& dataset, const LoaderOptions& options, const BatchVisitor& visit,
        std::int64_t total)
      : dataset_(dataset), options_(options), visit_(visit), total_(total) {}

  Result<LoaderReport> run(std::unique_ptr<SampleStream> stream) {
    stream_ = std::move(stream);
    parallel_for_workers(thread_count(), [this](int worker, std::int64_t) { work(worker); });
    if (error_) return tl::unexpected(*error_);
    if (report_.samples == 0 && report_.skipped > 0) {
      return bad_input("none of the {} samples could be decoded; the first: {}", report_.skipped,
                       first_skipped_);
    }
    if (options_.progress) options_.progress(options_.task, done_, total_);
    return report_;
  }

 private:
  struct RawBatch {
    std::int64_t first = 0;
    std::vector<RawSample> samples;
  };

  /// Keeps the error of the earliest batch. Batches are handed out in order, so that all earlier
  /// ones are in work already and the choice does not depend on the threads.
  void record(std::int64_t position, Error error) {
    const std::lock_guard lock(result_mutex_);
    if (position >= error_position_) return;
    error_position_ = position;
    error_ = std::move(error);
  }
  bool stopped() {
    const std::lock_guard lock(result_mutex_);
    return error_.has_value();
  }

  void work(int worker) {
    while (true) {
      std::int64_t position = 0;
      try {
        auto raw = pull(position);
        if (!raw) return record(position, std::move(raw).error());
        if (raw->samples.empty()) return;
        if (auto status = process(worker, *raw); !status) {
          return record(position, std::move(status).error());
        }
      } catch (const std::bad_alloc&) {
        return record(position, {ErrorKind::bad_input, "not enough memory for a batch"});
      } catch (const std::exception& error) {
        return record(position, {ErrorKind::internal, error.what()});
      }
    }
  }

  /// The next batch of undecoded samples; empty at the end.
  Result<RawBatch> pull(std::int64_t& position) {
    const std::lock_guard lock(stream_mutex_);
    position = pulled_;
    RawBatch batch{pulled_, {}};
    if (stopped()) return batch;
    OCTET_TRY(check_cancel());
    const auto wanted = static_cast<std::size_t>(std::max(options_.batch_size, 1));
    while (batch.samples.size() < wanted) {
      OCTET_ASSIGN(auto sample, stream_->next());
      if (!sample) break;
      batch.samples.push_back(std::move(*sample));
      ++pulled_;
    }
    return batch;
  }

  Status process(int worker, RawBatch& raw) {
    Batch batch;
    batch.first = raw.first;
    std::vector<std::vector<Tensor>> decoded;
    for (auto& sample : raw.samples) {
      auto tensors = dataset_.decode(sample);
      if (!tensors) {
        const bool skip = options_.undecodable == Undecodable::skip &&
                          tensors.error().kind == ErrorKind::bad_input;
        if (!skip) return tl::unexpected(std::move(tensors).error());
        note_skipped(sample.index, tensors.error().message);
        continue;
      }
      batch.indices.push_back(sample.index);
      batch.names.push_back(std::move(sample.name));
      decoded.push_back(std::move(*tensors));
    }
    const auto count = static_cast<std::int64_t>(raw.samples.size());
    raw.samples.clear();
    if (decoded.empty()) return finish(count, 0);
    for (std::size_t input = 0; input < decoded[0].size(); ++input) {
      OCTET_ASSIGN(auto tensor, stack(decoded, input, batch.names));
      batch.inputs.push_back(std::move(tensor));
    }
    decoded.clear();
    OCTET_TRY(visit_(worker, batch));
    return finish(count, static_cast<std::int64_t>(batch.indices.size()));
  }

  void note_skipped(std::int64_t index, const std::string& message) {
    log_warning("skipped: {}", message);
    const std::lock_guard lock(result_mutex_);
    ++report_.skipped;
    if (index >= first_skipped_index_) return;
    first_skipped_index_ = index;
    first_skipped_ = message;
  }

  Status finish(std::int64_t pulled, std::int64_t visited) {
    const std::lock_guard lock(result_mutex_);
    report_.samples += visited;
    done_ += pulled;
    if (!options_.progress) return {};
    const auto now = std::chrono::steady_clock::now();
    if (now - last_progress_ < std::chrono::milliseconds(50)) return {};
    last_progress_ = now;
    options_.progress(options_.task, done_, total_);
    return {};
  }

  const Dataset& dataset_;
  const LoaderOptions& options_;
  const BatchVisitor& visit_;
  const std::int64_t total_;

  std::mutex stream_mutex_;
  std::unique_ptr<SampleStream> stream_;
  std::int64_t pulled_ = 0;

  std::mutex result_mutex_;
  LoaderReport report_;
  std::int64_t done_ = 0;
  std::optional<Error> error_;
  std::int64_t error_position_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t first_skipped_index_ = std::numeric_limits<std::int64_t>::max();
  std::string first_skipped_;
  std::chrono::steady_clock::time_point last_progress_;
};

}  // namespace

Result<LoaderReport> for_each_batch(const Dataset& dataset,
                                    const std::vector<std::int64_t>& selection,
                                    const LoaderOptions& options, const BatchVisitor& visit) {
  OCTET_ASSIGN(auto stream, dataset.stream(selection));
  Sweep sweep(dataset, options, visit, static_cast<std::int64_t>(selection.size()));
  return sweep.run(std::move(stream));
}

}  // namespace octet
