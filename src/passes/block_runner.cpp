#include "passes/block_runner.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "core/parallel.h"
#include "core/progress.h"

namespace octet {
namespace {

using gradient::Parameters;

/// Samples that go through a tape together.
constexpr std::size_t micro_batch = 4;
/// Micro-batches whose gradients are in memory at once.
constexpr std::size_t wave = 8;

/// A micro-batch of samples one behind the other; the last stands for those that are missing.
Tensor joined(const std::vector<Tensor>& samples, std::span<const std::size_t> chosen) {
  Shape shape = samples[chosen[0]].shape();
  shape[0] = static_cast<std::int64_t>(micro_batch);
  Tensor all(DType::f32, shape);
  for (std::size_t i = 0; i < micro_batch; ++i) {
    const Tensor& sample = samples[chosen[std::min(i, chosen.size() - 1)]];
    std::memcpy(all.mutable_raw() + i * sample.bytes(), sample.raw(), sample.bytes());
  }
  return all;
}

std::span<const std::size_t> part_of(std::span<const std::size_t> chosen, std::size_t number) {
  const auto first = number * micro_batch;
  return chosen.subspan(first, std::min(micro_batch, chosen.size() - first));
}

std::size_t parts_of(std::size_t samples) { return (samples + micro_batch - 1) / micro_batch; }

}  // namespace

BlockRunner::BlockRunner(std::unique_ptr<gradient::Tape> tape, const BlockSamples& samples)
    : tape_(std::move(tape)),
      samples_(&samples),
      sessions_(static_cast<std::size_t>(std::max(thread_count(), 1))) {}

Result<BlockRunner> BlockRunner::make(const BlockGraph& block, const BlockSamples& samples,
                                      const std::vector<ValueId>& trained) {
  OCTET_ASSIGN(auto tape, block.tape(samples.inputs[0].shape(),
                                     static_cast<std::int64_t>(micro_batch), trained));
  return BlockRunner(std::move(tape), samples);
}

Result<gradient::TapeSession*> BlockRunner::session(int worker) {
  auto& session = sessions_[static_cast<std::size_t>(worker)];
  if (session == nullptr) {
    OCTET_ASSIGN(session, tape_->session());
  }
  return session.get();
}

/// What a micro-batch gives less what it should give.
Result<Tensor> BlockRunner::forward(int worker, std::span<const std::size_t> chosen) {
  OCTET_TRY(check_cancel());
  OCTET_ASSIGN(auto* tape, session(worker));
  const Tensor inputs = joined(samples_->inputs, chosen);
  OCTET_ASSIGN(const auto outputs, tape->forward(std::span(&inputs, 1)));
  Tensor difference = joined(samples_->targets, chosen);
  if (difference.size() != outputs[0].size()) {
    return bad_input("the block gives shape {} for {}", to_string(outputs[0].shape()),
                     to_string(difference.shape()));
  }
  auto* values = difference.mutable_data<float>();
  const auto* given = outputs[0].data<float>();
  for (std::int64_t i = 0; i < difference.size(); ++i) values[i] = given[i] - values[i];
  return difference;
}

Result<std::vector<double>> BlockRunner::errors() {
  std::vector<std::size_t> all(samples_->inputs.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  std::vector<double> errors(all.size(), 0.0);
  const auto parts = static_cast<std::int64_t>(parts_of(all.size()));
  OCTET_TRY(parallel_try(parts, [&](int worker, std::int64_t number) -> Status {
    const auto chosen = part_of(all, static_cast<std::size_t>(number));
    OCTET_ASSIGN(const auto difference, forward(worker, chosen));
    const auto elements = static_cast<std::size_t>(difference.size()) / micro_batch;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      for (const float value : difference.values<float>().subspan(i * elements, elements)) {
        errors[chosen[i]] += static_cast<double>(value) * static_cast<double>(value);
      }
    }
    return {};
  }));
  return errors;
}

Result<std::vector<float>> BlockRunner::part(int worker, std::span<const std::size_t> chosen,
                                             std::uint64_t number, Sum what) {
  OCTET_ASSIGN(auto seed, forward(worker, chosen));
  auto* values = seed.mutable_data<float>();
  const auto used = static_cast<std::int64_t>(chosen.size()) * seed.size() /
                    static_cast<std::int64_t>(micro_batch);
  std::mt19937_64 random(number);
  for (std::int64_t i = 0; i < seed.size(); ++i) {
    if (what == Sum::gradients) values[i] *= 2;
    if (what == Sum::squares) values[i] = (random() & 1) == 0 ? 1.0F : -1.0F;
    if (i >= used) values[i] = 0;
  }
  std::vector<float> leaves(tape_->leaf_count());
  OCTET_ASSIGN(auto* tape, session(worker));
  OCTET_TRY(tape->backward(std::span(&seed, 1), leaves));
  if (what == Sum::squares) {
    for (float& leaf : leaves) leaf *= 2 * leaf;
  }
  return leaves;
}

Result<Parameters> BlockRunner::sum(const std::vector<std::size_t>& chosen, Sum what) {
  std::vector<float> total(tape_->leaf_count(), 0.0F);
  const auto parts = parts_of(chosen.size());
  for (std::size_t first = 0; first < parts; first += wave) {
    std::vector<std::vector<float>> some(std::min(wave, parts - first));
    OCTET_TRY(parallel_try(
        static_cast<std::int64_t>(some.size()), [&](int worker, std::int64_t i) -> Status {
          const auto at = static_cast<std::size_t>(i);
          OCTET_ASSIGN(some[at], part(worker, part_of(chosen, first + at), first + at, what));
          return {};
        }));
    for (const auto& leaves : some) {
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += leaves[i];
    }
  }
  return tape_->gradients(total);
}

Result<Parameters> BlockRunner::gradients(const std::vector<std::size_t>& chosen) {
  return sum(chosen, Sum::gradients);
}

/// The trained constants are leaves themselves: their squares go through unchanged.
Result<Parameters> BlockRunner::curvatures(const std::vector<std::size_t>& chosen) {
  return sum(chosen, Sum::squares);
}

}  // namespace octet
