#include "data/held_dataset.h"

#include <algorithm>
#include <utility>

namespace octet {
namespace {

std::size_t bytes_of(const RawSample& sample) {
  std::size_t bytes = sample.bytes.size();
  for (const auto& tensor : sample.tensors) bytes += static_cast<std::size_t>(tensor.bytes());
  return bytes;
}

class HeldStream final : public SampleStream {
 public:
  explicit HeldStream(std::vector<const RawSample*> samples) : samples_(std::move(samples)) {}

  Result<std::optional<RawSample>> next() override {
    if (at_ == samples_.size()) return std::nullopt;
    return *samples_[at_++];
  }

 private:
  std::vector<const RawSample*> samples_;
  std::size_t at_ = 0;
};

class HeldDataset final : public Dataset {
 public:
  HeldDataset(std::unique_ptr<Dataset> inner, std::vector<RawSample> samples)
      : inner_(std::move(inner)), samples_(std::move(samples)) {}

  std::int64_t size() const override { return inner_->size(); }
  const std::string& name() const override { return inner_->name(); }
  const std::vector<std::int32_t>& labels() const override { return inner_->labels(); }
  bool holds_images() const override { return inner_->holds_images(); }
  int class_count() const override { return inner_->class_count(); }

  Result<std::unique_ptr<SampleStream>> stream(std::vector<std::int64_t> selection) const override {
    std::vector<const RawSample*> found;
    for (const auto& sample : samples_) {
      const bool wanted = std::binary_search(selection.begin(), selection.end(), sample.index);
      if (wanted) found.push_back(&sample);
    }
    if (found.size() != selection.size()) return inner_->stream(std::move(selection));
    return std::make_unique<HeldStream>(std::move(found));
  }

  Result<std::vector<Tensor>> decode(const RawSample& sample) const override {
    return inner_->decode(sample);
  }

 private:
  std::unique_ptr<Dataset> inner_;
  std::vector<RawSample> samples_;  ///< in storage order
};

}  // namespace

Result<std::unique_ptr<Dataset>> hold_samples(std::unique_ptr<Dataset> dataset,
                                              const std::vector<std::int64_t>& selection,
                                              std::size_t limit) {
  OCTET_ASSIGN(const auto stream, dataset->stream(selection));
  std::vector<RawSample> samples;
  std::size_t bytes = 0;
  while (true) {
    OCTET_TRY(check_cancel());
    OCTET_ASSIGN(auto sample, stream->next());
    if (!sample) break;
    bytes += bytes_of(*sample);
    if (bytes > limit) return dataset;
    samples.push_back(std::move(*sample));
  }
  return std::make_unique<HeldDataset>(std::move(dataset), std::move(samples));
}

}  // namespace octet
