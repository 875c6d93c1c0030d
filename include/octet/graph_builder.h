#pragma once
// GraphBuilder: defines a float network layer by layer and writes it as a model file, to be trained
// with train().
//
//     octet::GraphBuilder net("lenet", 7);
//     auto x = net.input("image", {1, 28, 28});
//     x = net.max_pool(net.relu(net.conv2d(x, 8, 5)), 2);
//     net.output("scores", net.dense(net.flatten(x), 10));
//     const auto model = net.write("lenet.onnx");
//     if (!model) std::fprintf(stderr, "%s\n", model.error().message.c_str());
//
// Shapes are those of one sample; the batch is a further, first axis of any extent. Images are
// [channels, height, width]. A layer that does not fit makes every later call do nothing, and
// write() returns that first error.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octet/result.h"

namespace octet {

/// Height and width; a single number means both.
struct Extent2d {
  std::int64_t height = 1;
  std::int64_t width = 1;
  Extent2d(std::int64_t side) : height(side), width(side) {}  // NOLINT: meant to be implicit
  Extent2d(std::int64_t h, std::int64_t w) : height(h), width(w) {}
};

struct Conv2dOptions {
  Extent2d stride = 1;
  Extent2d dilation = 1;
  std::int64_t groups = 1;
  /// Zeros on each of the four sides. Default: as many as give ceil(input / stride) outputs along
  /// each axis, an odd one at the end (what TensorFlow calls SAME).
  std::optional<std::int64_t> padding;
  bool bias = true;
};

class GraphBuilder {
 public:
  /// What a layer gives; taken by the layers of the same builder.
  struct Value {
    std::int32_t id = -1;
  };

  struct Written {
    std::uint64_t bytes = 0;
    std::int64_t parameters = 0;  ///< numbers that training changes
  };

  /// `seed` decides all random weights: normal by He et al. 2015, as `octet train --init` draws
  /// them; biases are 0, factors of normalizations 1.
  explicit GraphBuilder(std::string name, std::uint64_t seed = 0);
  ~GraphBuilder();
  GraphBuilder(GraphBuilder&&) noexcept;
  GraphBuilder& operator=(GraphBuilder&&) noexcept;

  /// f32 [batch, shape...].
  Value input(const std::string& name, const std::vector<std::int64_t>& shape);
  void output(const std::string& name, Value x);

  /// [C, H, W] -> [channels, H', W'] by a cross-correlation; weights [channels, C / groups,
  /// kernel].
  Value conv2d(Value x, std::int64_t channels, Extent2d kernel, const Conv2dOptions& options = {});
  /// Each channel by itself (groups = C, whatever options.groups says).
  Value depthwise_conv2d(Value x, Extent2d kernel, Conv2dOptions options = {});
  /// [..., C] -> [..., features]: x W^T + bias.
  Value dense(Value x, std::int64_t features, bool bias = true);
  /// By channel over batch (and height and width); epsilon 1e-5.
  Value batch_norm(Value x);
  /// Over the last axis; epsilon 1e-5.
  Value layer_norm(Value x);

  Value relu(Value x);
  Value relu6(Value x);  ///< min(max(x, 0), 6)
  Value sigmoid(Value x);
  Value tanh(Value x);
  Value hard_swish(Value x);
  Value gelu(Value x);     ///< x Phi(x), with erf
  Value softmax(Value x);  ///< over the last axis

  /// Windows that lie within the image; stride: the window's extents by default.
  Value max_pool(Value x, Extent2d window, std::optional<Extent2d> stride = std::nullopt);
  Value average_pool(Value x, Extent2d window, std::optional<Extent2d> stride = std::nullopt);
  Value global_average_pool(Value x);  ///< [C, H, W] -> [C, 1, 1]
  /// [C, H, W] -> [C, factor H, factor W], each pixel repeated.
  Value upsample(Value x, std::int64_t factor);

  Value flatten(Value x);  ///< -> [elements], the last axis running fastest
  Value reshape(Value x, const std::vector<std::int64_t>& shape);
  /// `axes`: where each axis of the result comes from; 0 is the first one after the batch.
  Value transpose(Value x, const std::vector<std::int64_t>& axes);
  /// `axis` counts from 0, the first one after the batch: the channels of images.
  Value concat(const std::vector<Value>& parts, std::int64_t axis = 0);
  Value add(Value a, Value b);       ///< of equal shapes, or with extents of 1 repeated
  Value multiply(Value a, Value b);  ///< likewise
  Value matmul(Value a, Value b);    ///< [..., M, K] [..., K, N] -> [..., M, N]

  /// Shape of one sample.
  [[nodiscard]] Result<std::vector<std::int64_t>> shape(Value x) const;

  /// Writes the network; the suffix of `path` picks the format (.onnx, .tflite). A .tflite file has
  /// its BatchNormalization folded. Errors: a layer that did not fit (usage), no output, a path
  /// that cannot be written, an operator that the format lacks.
  [[nodiscard]] Result<Written> write(const std::string& path) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace octet
