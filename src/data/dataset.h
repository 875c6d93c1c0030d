#pragma once
// Dataset: labelled samples behind one interface. Samples are read as a stream in storage order (so
// that archives need no random access) and decoded by whichever worker computes on them: decoding
// overlaps compute and only the samples in flight are in memory.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "core/result.h"
#include "core/tensor.h"
#include "data/recipe.h"

namespace octet {

/// What a model wants to be fed, per input.
struct InputSpec {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;  ///< first dimension is the batch and may be dynamic
  ImageLayout layout = ImageLayout::nchw;
};

/// One sample as stored: undecoded bytes, or the tensors themselves.
struct RawSample {
  std::int64_t index = 0;  ///< position in the data set
  std::string name;        ///< file name, or "X.npy[17]"
  std::vector<std::byte> bytes;
  std::vector<Tensor> tensors;
};

/// Yields the selected samples in storage order. Not thread-safe.
class SampleStream {
 public:
  SampleStream() = default;
  SampleStream(const SampleStream&) = delete;
  SampleStream& operator=(const SampleStream&) = delete;
  virtual ~SampleStream() = default;
  /// The next sample, or nullopt at the end.
  [[nodiscard]] virtual Result<std::optional<RawSample>> next() = 0;
};

class Dataset {
 public:
  Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;
  virtual ~Dataset() = default;

  [[nodiscard]] virtual std::int64_t size() const = 0;
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// Class of each sample (label_offset not yet added), or empty when there are no labels.
  [[nodiscard]] virtual const std::vector<std::int32_t>& labels() const = 0;
  /// Whether samples are images that a recipe turns into inputs.
  [[nodiscard]] virtual bool holds_images() const { return false; }
  /// Number of classes when the source states it (class folders), else 0.
  [[nodiscard]] virtual int class_count() const = 0;
  /// `selection` must be sorted, without repeats.
  [[nodiscard]] virtual Result<std::unique_ptr<SampleStream>> stream(
      std::vector<std::int64_t> selection) const = 0;
  /// Decodes to one tensor per model input, batch dimension 1. Thread-safe. Errors name the sample.
  [[nodiscard]] virtual Result<std::vector<Tensor>> decode(const RawSample& sample) const = 0;
};

struct DatasetOptions {
  Recipe recipe;
  std::filesystem::path labels;   ///< .npy of integer labels, for .npy data
  std::vector<InputSpec> inputs;  ///< what the model wants
};

/// Opens whatever `path` is: a folder of class folders, a folder with labels.txt, .npy, .npz, a
/// folder of NAME.npy, MNIST IDX files (.gz too), .tar or .tar.gz of the first two. Errors say what
/// was found instead. An empty data set is an error.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_dataset(const std::filesystem::path& path,
                                                            const DatasetOptions& options);

/// `count` sample indices drawn by `seed` without repeats over the whole set, evenly over the
/// classes where there are labels; sorted. All of them when count <= 0 or >= size. The draw depends
/// on (size, labels, count, seed) alone.
[[nodiscard]] std::vector<std::int64_t> select_samples(const Dataset& dataset, std::int64_t count,
                                                       std::uint64_t seed);

/// Some samples stacked along the batch dimension.
struct Batch {
  std::int64_t first = 0;             ///< position of the first sample within the selection
  std::vector<std::int64_t> indices;  ///< data set indices
  std::vector<std::string> names;
  std::vector<Tensor> inputs;  ///< one per model input, batch dimension = indices.size()
};

enum class Undecodable : std::uint8_t {
  error,  ///< the first undecodable sample ends the sweep, named
  skip,   ///< it is left out, counted and logged by name
};

struct LoaderOptions {
  int batch_size = 1;
  Undecodable undecodable = Undecodable::error;
  std::string task;   ///< for progress
  Progress progress;  ///< may be empty
};

struct LoaderReport {
  std::int64_t samples = 0;  ///< visited
  std::int64_t skipped = 0;
};

/// Streams the selection through `visit(worker, batch)` on thread_count() workers: a worker takes
/// the next batch_size raw samples, decodes them and visits. Which samples form a batch does not
/// depend on the number of threads; the order in which batches are visited does. The first error
/// (in selection order, as far as known) ends the sweep. Honours check_cancel().
using BatchVisitor = std::function<Status(int worker, const Batch& batch)>;
[[nodiscard]] Result<LoaderReport> for_each_batch(const Dataset& dataset,
                                                  const std::vector<std::int64_t>& selection,
                                                  const LoaderOptions& options,
                                                  const BatchVisitor& visit);

}  // namespace octet
