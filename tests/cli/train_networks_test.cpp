// octet train on networks other than classifiers of images: an encoder of tokens, and one that
// gives a picture.

#include <gtest/gtest.h>

#include "cli/models.h"

namespace octet::testing {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

constexpr std::int64_t vocabulary = 40, width = 16, heads = 2, tokens = 12, classes = 4;

/// Layers of a graph, numbered.
class Layers {
 public:
  GraphBuilder b;

  ValueId add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return b.node(op, std::move(inputs), name(op), std::move(attributes));
  }
  /// Uniform in [-bound, bound].
  ValueId weight(const Shape& shape, float bound) {
    Tensor numbers = GraphBuilder::pseudo_random(shape, ++count_);
    for (std::int64_t i = 0; i < numbers.size(); ++i) numbers.mutable_data<float>()[i] *= bound;
    return b.constant(name("weight"), std::move(numbers));
  }
  ValueId dense(ValueId x, std::int64_t inputs, std::int64_t outputs) {
    const auto product = add("MatMul", {x, weight({inputs, outputs}, 0.5F)});
    return add("Add", {product, weight({outputs}, 0.1F)});
  }
  ValueId norm(ValueId x) {
    const Tensor ones = Tensor::from<float>(std::vector<float>(width, 1.0F), {width});
    return add("LayerNormalization", {x, b.constant(name("factor"), ones), weight({width}, 0.1F)});
  }
  ValueId number(float value) { return b.scalar(name("number"), value); }
  ValueId ints(const Ints& values) { return b.ints(name("ints"), values); }

 private:
  std::string name(const std::string& what) { return what + std::to_string(++count_); }
  int count_ = 0;
};

ValueId attention(Layers& l, ValueId x, ValueId mask) {
  const auto split = [&](const Ints& order) {
    const auto y =
        l.add("Reshape", {l.dense(x, width, width), l.ints({0, 0, heads, width / heads})});
    return l.add("Transpose", {y}, {{"perm", order}});
  };
  const auto query = split({0, 2, 1, 3});
  const auto scores =
      l.add("Mul", {l.add("MatMul", {query, split({0, 2, 3, 1})}), l.number(0.35F)});
  const auto shares =
      l.add("Softmax", {l.add("Add", {scores, mask})}, {{"axis", std::int64_t{-1}}});
  const auto mixed = l.add("MatMul", {shares, split({0, 2, 1, 3})});
  const auto rows = l.add("Transpose", {mixed}, {{"perm", Ints{0, 2, 1, 3}}});
  return l.dense(l.add("Reshape", {rows, l.ints({0, 0, width})}), width, width);
}

/// One layer of a transformer encoder: token ids and a mask in, class scores of the first token
/// out.
std::string write_encoder(const std::string& path) {
  Layers l;
  const auto ids = l.b.input("ids", {dynamic_dim, dynamic_dim}, {"N", "S"}, DType::i64);
  const auto keep = l.b.input("mask", {dynamic_dim, dynamic_dim}, {"N", "S"}, DType::i64);
  const auto wide =
      l.add("Cast", {l.add("Unsqueeze", {keep, l.ints({1, 2})})}, {{"to", std::int64_t{1}}});
  const auto mask = l.add("Mul", {l.add("Sub", {l.number(1), wide}), l.number(-30)});
  auto x = l.norm(l.add("Gather", {l.weight({vocabulary, width}, 1), ids}));
  x = l.norm(l.add("Add", {attention(l, x, mask), x}));
  const auto inner = l.add("Gelu", {l.dense(x, width, 32)});
  x = l.norm(l.add("Add", {l.dense(inner, 32, width), x}));
  const auto first = l.b.constant("first", Tensor::from<std::int64_t>({0}, {}));
  const auto head = l.add("Gather", {x, first}, {{"axis", std::int64_t{1}}});
  l.b.output(l.add("Gemm", {head, l.weight({classes, width}, 0.5F), l.weight({classes}, 0.1F)},
                   {{"transB", std::int64_t{1}}}));
  return write_graph(path, std::move(l.b.graph));
}

/// Each class prefers its part of the vocabulary; the last tokens of every third sample are masked.
void write_sentences(const TemporaryFolder& folder, std::int64_t count) {
  std::filesystem::create_directory(folder / "data");
  Tensor ids(DType::i64, {count, tokens}), mask(DType::i64, {count, tokens});
  Tensor labels(DType::i64, {count});
  const Tensor random = GraphBuilder::pseudo_random({count, tokens, 2}, 5);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = i % classes;
    labels.mutable_data<std::int64_t>()[i] = label;
    for (std::int64_t k = 0; k < tokens; ++k) {
      const float* draw = random.data<float>() + (i * tokens + k) * 2;
      const auto below = [&](float x, std::int64_t n) {
        return std::min(static_cast<std::int64_t>((x + 1) / 2 * static_cast<float>(n)), n - 1);
      };
      const auto own = label * (vocabulary / classes) + below(draw[0], vocabulary / classes);
      ids.mutable_data<std::int64_t>()[i * tokens + k] =
          draw[1] < 0.2F ? own : below(draw[0], vocabulary);
      mask.mutable_data<std::int64_t>()[i * tokens + k] = i % 3 != 0 || k < tokens - 3 ? 1 : 0;
    }
  }
  write_array(folder / "data/ids.npy", ids);
  write_array(folder / "data/mask.npy", mask);
  write_array(folder / "labels.npy", labels);
}

/// Simulation and integer engine agree on every value of what was trained.
void expect_runs_as_trained(const std::string& model, const std::string& data) {
  const auto compared = json_of({"compare", model, model, "--data", data, "--no-speed",
                                 "--first-engine", "simulate", "--engine", "integer"});
  EXPECT_EQ(compared["differing_values"], 0);
}

TEST(TrainNetworks, AnEncoderOfTokensLearns) {
  const TemporaryFolder folder;
  write_sentences(folder, 256);
  const auto model = write_encoder(folder / "encoder.onnx");
  const auto train = [&](const std::string& from, const std::string& to, const Arguments& more) {
    Arguments all = {
        "train", from,      "--data", folder / "data", "--labels", folder / "labels.npy", "-o",
        to,      "--batch", "32",     "--optimizer",   "adam"};
    all.insert(all.end(), more.begin(), more.end());
    return json_of(all);
  };
  const auto trained = folder / "trained.onnx";
  const auto made = train(model, trained, {"--epochs", "12", "--lr", "0.01"});
  const auto& epochs = made["epochs"];
  EXPECT_LT(epochs[11]["loss"], 0.5 * static_cast<double>(epochs[0]["loss"]));
  EXPECT_GT(epochs[11]["top1"], 0.9);

  const auto aware = folder / "aware.onnx";
  const auto quantized = train(trained, aware, {"--epochs", "3", "--qat", "--lr", "0.001"});
  EXPECT_LE(quantized["epochs"][2]["loss"], quantized["epochs"][0]["loss"]);
  EXPECT_GT(quantized["epochs"][2]["top1"], 0.9);
  expect_runs_as_trained(aware, folder / "data");
}

/// Down by a stride, up by a transposed convolution and by interpolation, joined, a picture out.
std::string write_picture_network(const std::string& path) {
  Layers l;
  const auto conv = [&](ValueId x, std::int64_t in, std::int64_t out, std::int64_t stride) {
    const auto y = l.add("Conv", {x, l.weight({out, in, 3, 3}, 0.3F), l.weight({out}, 0.1F)},
                         {{"pads", Ints{1, 1, 1, 1}}, {"strides", Ints{stride, stride}}});
    return l.add("Relu", {y});
  };
  const auto x = l.b.input("x", {dynamic_dim, 1, 8, 8}, {"N", "", "", ""});
  const auto fine = conv(x, 1, 6, 1);
  const auto coarse = conv(fine, 6, 8, 2);
  const auto up =
      l.add("ConvTranspose", {coarse, l.weight({8, 4, 2, 2}, 0.3F), l.weight({4}, 0.1F)},
            {{"strides", Ints{2, 2}}});
  const auto scales = l.b.constant("scales", Tensor::from<float>({1, 1, 2, 2}, {4}));
  const auto smooth =
      l.add("Resize", {coarse, ValueId::none, scales}, {{"mode", std::string("linear")}});
  const auto joined = l.add("Concat", {fine, up, smooth}, {{"axis", std::int64_t{1}}});
  const auto mixed = l.add("Conv", {joined, l.weight({1, 18, 1, 1}, 0.3F), l.weight({1}, 0.1F)});
  l.b.output(l.add("Sigmoid", {mixed}));
  return write_graph(path, std::move(l.b.graph));
}

TEST(TrainNetworks, APictureIsLearned) {
  const TemporaryFolder folder;
  Tensor pictures = GraphBuilder::pseudo_random({128, 1, 8, 8}, 3);
  for (std::int64_t i = 0; i < pictures.size(); ++i) {
    // Bars whose place depends on the sample, 0 and 1.
    const auto sample = i / 64;
    float& pixel = pictures.mutable_data<float>()[i];
    pixel = (i % 8 + sample) % 4 < 2 ? 0.9F + 0.1F * pixel : 0.1F + 0.1F * pixel;
  }
  const auto data = write_array(folder / "x.npy", pictures);
  const auto model = write_picture_network(folder / "network.onnx");
  const auto train = [&](const std::string& from, const std::string& to, const Arguments& more) {
    Arguments all = {"train",   from, "--data", data,  "-o",          to,
                     "--batch", "32", "--loss", "mse", "--optimizer", "adam"};
    all.insert(all.end(), more.begin(), more.end());
    return json_of(all)["epochs"];
  };
  const auto epochs = train(model, folder / "float.onnx", {"--epochs", "20", "--lr", "0.01"});
  EXPECT_LT(epochs[19]["loss"], 0.3 * static_cast<double>(epochs[0]["loss"]));
  const auto aware = train(folder / "float.onnx", folder / "aware.onnx",
                           {"--epochs", "3", "--qat", "--lr", "0.001"});
  EXPECT_LT(aware[2]["loss"], 2 * static_cast<double>(epochs[19]["loss"]));
  expect_runs_as_trained(folder / "aware.onnx", data);
}

/// Less memory, the same bytes.
TEST(TrainNetworks, RecomputingGivesTheSameBytes) {
  const TemporaryFolder folder;
  for (const std::string way : {"kept", "again"}) {
    Arguments arguments = {"train",   digits("digits_cnn.onnx"),
                           "-o",      folder / (way + ".onnx"),
                           "--data",  digits("train-images-idx3-ubyte.gz"),
                           "--qat",   "--epochs",
                           "1",       "--samples",
                           "300",     "--batch-norm",
                           "trained", "--bits-weights",
                           "4"};
    if (way == "again") arguments.emplace_back("--recompute");
    json_of(arguments);
  }
  EXPECT_EQ(read_text(folder / "kept.onnx"), read_text(folder / "again.onnx"));
}

}  // namespace
}  // namespace octet::testing
