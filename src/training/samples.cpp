#include "training/samples.h"

#include <numeric>

namespace octet {

Result<TrainingSamples> TrainingSamples::read(const Dataset& dataset,
                                              std::vector<std::int64_t> selection,
                                              std::uint64_t limit) {
  TrainingSamples store(dataset);
  store.samples_.reserve(selection.size());
  OCTET_ASSIGN(auto stream, dataset.stream(std::move(selection)));
  std::uint64_t bytes = 0;
  for (;;) {
    OCTET_ASSIGN(auto sample, stream->next());
    if (!sample) break;
    bytes += sample->bytes.size();
    for (const auto& tensor : sample->tensors) bytes += tensor.bytes();
    if (bytes > limit) {
      return bad_input("{}: the samples take more than {} MB; --samples {} fit", dataset.name(),
                       limit >> 20, store.samples_.size());
    }
    store.samples_.push_back(std::move(*sample));
  }
  if (store.samples_.empty()) return bad_input("{}: no samples to train on", dataset.name());
  return store;
}

Result<std::vector<Tensor>> TrainingSamples::inputs(std::int64_t i) const {
  return dataset_->decode(samples_[static_cast<std::size_t>(i)]);
}

std::int32_t TrainingSamples::label(std::int64_t i) const {
  const auto& labels = dataset_->labels();
  if (labels.empty()) return -1;
  return labels[static_cast<std::size_t>(samples_[static_cast<std::size_t>(i)].index)];
}

Result<std::vector<Shape>> sample_shapes(const Dataset& dataset, std::int64_t sample) {
  OCTET_ASSIGN(auto stream, dataset.stream({sample}));
  OCTET_ASSIGN(const auto raw, stream->next());
  if (!raw) return bad_input("{} has no sample {}", dataset.name(), sample);
  OCTET_ASSIGN(const auto inputs, dataset.decode(*raw));
  std::vector<Shape> shapes;
  for (const auto& input : inputs) shapes.push_back(input.shape());
  return shapes;
}

std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, epoch, -1);
  for (std::int64_t i = count - 1; i > 0; --i) {
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(random.below(i + 1))]);
  }
  return order;
}

Random::Random(std::uint64_t seed, std::int64_t epoch, std::int64_t item) : state_(seed) {
  // Each key is mixed in by a step of the generator itself.
  for (const std::int64_t key : {epoch, item}) {
    state_ ^= static_cast<std::uint64_t>(key);
    state_ = next();
  }
}

std::uint64_t Random::next() {
  state_ += 0x9e3779b97f4a7c15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

std::int64_t Random::below(std::int64_t count) {
  return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(count));
}

double Random::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

}  // namespace octet
