#include "training/trainer.h"

#include <gtest/gtest.h>

#include "graph/graph_builder.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

/// Samples of one pixel; the first half are 0 and of class 0, the others 1 and of class 1.
class TwoHalves : public Dataset {
 public:
  explicit TwoHalves(std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) labels_.push_back(i < count / 2 ? 0 : 1);
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  const std::string& name() const override { return name_; }
  const std::vector<std::int32_t>& labels() const override { return labels_; }
  int class_count() const override { return 2; }
  Result<std::unique_ptr<SampleStream>> stream(std::vector<std::int64_t> selection) const override {
    return std::make_unique<Stream>(std::move(selection));
  }
  Result<std::vector<Tensor>> decode(const RawSample& sample) const override {
    const auto label = labels_[static_cast<std::size_t>(sample.index)];
    return std::vector{Tensor::from<float>({static_cast<float>(label)}, {1, 1, 1, 1})};
  }

 private:
  class Stream : public SampleStream {
   public:
    explicit Stream(std::vector<std::int64_t> selection) : selection_(std::move(selection)) {}
    Result<std::optional<RawSample>> next() override {
      if (at_ == selection_.size()) return std::nullopt;
      RawSample sample;
      sample.index = selection_[at_++];
      return sample;
    }

   private:
    std::vector<std::int64_t> selection_;
    std::size_t at_ = 0;
  };

  std::string name_ = "two halves";
  std::vector<std::int32_t> labels_;
};

/// What inference reads is measured over all of the data, however it is sorted.
TEST(Trainer, MeasuresBatchNormalizationOverAllOfTheData) {
  testing::GraphBuilder b;
  const auto x = b.input("x", {dynamic_dim, 1, 1, 1}, {"N"});
  const auto c =
      b.node("Conv", {x, b.constant("w", Tensor::from<float>({1, 1}, {2, 1, 1, 1}))}, "c");
  const auto ones = [&](const std::string& name) {
    return b.constant(name, Tensor::from<float>({1, 1}, {2}));
  };
  const auto n = b.node("BatchNormalization",
                        {c, ones("gamma"), ones("beta"), ones("mean"), ones("variance")}, "n");
  b.output(b.node("Flatten", {n}, "y"));
  ASSERT_TRUE(infer_shapes(b.graph).has_value());
  const auto mean = b.graph.find_value("mean");
  const auto variance = b.graph.find_value("variance");
  FakeQuantGraph graph;
  graph.graph = b.graph;
  const auto network = Network::make(b.graph, graph);
  ASSERT_TRUE(network.has_value()) << network.error().message;

  const TwoHalves data(1024);
  std::vector<std::int64_t> all(1024);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  TrainOptions options;
  options.micro_batch = 2;
  options.learning_rate = 1e-12;
  const auto result =
      train(*network, nullptr, {data, all, ImageLayout::nchw, 0}, options, TrainingHooks());
  ASSERT_TRUE(result.has_value()) << result.error().message;
  // Of 256 draws: the mean of their halves, and the variance within pairs of both.
  EXPECT_NEAR(result->parameters.at(mean).data<float>()[0], 0.5F, 0.1F);
  EXPECT_NEAR(result->parameters.at(variance).data<float>()[0], 0.25F, 0.1F);
}

}  // namespace
}  // namespace octet
