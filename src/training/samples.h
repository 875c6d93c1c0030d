#pragma once
// Training samples, held in memory as they are stored (encoded images stay encoded) and decoded
// each time they are used.

#include "data/dataset.h"

namespace octet {

class TrainingSamples {
 public:
  /// Reads the samples of `selection`. Fails when they take more than `limit` bytes, saying how
  /// many fit.
  [[nodiscard]] static Result<TrainingSamples> read(const Dataset& dataset,
                                                    std::vector<std::int64_t> selection,
                                                    std::uint64_t limit = std::uint64_t{8} << 30);

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(samples_.size()); }
  /// Sample i, one tensor for each input of the model, batch dimension 1. Thread-safe.
  [[nodiscard]] Result<std::vector<Tensor>> inputs(std::int64_t i) const;
  /// Class as the data set states it, -1 without labels.
  [[nodiscard]] std::int32_t label(std::int64_t i) const;

 private:
  explicit TrainingSamples(const Dataset& dataset) : dataset_(&dataset) {}

  const Dataset* dataset_;
  std::vector<RawSample> samples_;
};

/// Shapes of the inputs of one sample.
[[nodiscard]] Result<std::vector<Shape>> sample_shapes(const Dataset& dataset, std::int64_t sample);

/// The numbers 0..count-1 in an order that depends on (seed, epoch) alone.
[[nodiscard]] std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed,
                                                 std::int64_t epoch);

/// A stream of random numbers that depends on its keys alone: the same for any thread count, and
/// after a resumed run. SplitMix64 (Steele et al. 2014).
class Random {
 public:
  Random(std::uint64_t seed, std::int64_t epoch, std::int64_t item);
  [[nodiscard]] std::uint64_t next();
  /// In [0, count).
  [[nodiscard]] std::int64_t below(std::int64_t count);
  /// In [0, 1).
  [[nodiscard]] double uniform();

 private:
  std::uint64_t state_;
};

}  // namespace octet
