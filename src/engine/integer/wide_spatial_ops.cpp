#include "engine/integer/wide_spatial_ops.h"

#include "arithmetic/litert_average.h"
#include "arithmetic/quantize.h"
#include "engine/float/pool_window.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer/wide_values.h"

namespace octet {
namespace {

using Arguments = std::span<const Activation* const>;
using Outputs = Result<std::vector<Activation>>;

Outputs one_image(Tensor image) {
  std::vector<Activation> outputs;
  outputs.push_back({std::move(image), false});
  return outputs;
}

/// LiteRT's keeps the input's params; a QUANTIZE follows where others are wanted.
class AverageOp final : public FloatOp {
 public:
  AverageOp(const Node& node, Quantization input, Quantization output,
            const NodePlacement& placement)
      : node_(node),
        input_(std::move(input)),
        output_(std::move(output)),
        low_(placement.low),
        high_(placement.high) {}

  [[nodiscard]] Outputs run(Arguments arguments, State* /*state*/) const override {
    OCTET_ASSIGN(const auto x, wide_codes(to_plain(*arguments[0]).tensor, input_));
    const Shape& shape = x.shape();
    OCTET_ASSIGN(const auto geometry, resolve_pool(node_, shape));
    const auto rows = float_engine::window(geometry, 0, shape[2]);
    const auto columns = float_engine::window(geometry, 1, shape[3]);
    Tensor codes(DType::i16, {shape[0], shape[1], rows.output, columns.output});
    auto* out = codes.mutable_data<std::int16_t>();
    for (std::int64_t plane = 0; plane < shape[0] * shape[1]; ++plane) {
      const auto* in = x.data<std::int16_t>() + plane * shape[2] * shape[3];
      for (std::int64_t y = 0; y < rows.output; ++y) {
        for (std::int64_t z = 0; z < columns.output; ++z) *out++ = mean(in, rows, columns, y, z);
      }
    }
    OCTET_ASSIGN(const auto image, wide_image(codes, input_));
    OCTET_ASSIGN(const auto converted, converted_image(image, input_, output_));
    return limited(converted);
  }

 private:
  static std::int16_t mean(const std::int16_t* in, const float_engine::Window& rows,
                           const float_engine::Window& columns, std::int64_t y, std::int64_t z) {
    std::int64_t sum = 0;
    std::int64_t count = 0;
    for (std::int64_t i = rows.first(y); i < rows.last(y); ++i) {
      const auto* row = in + (rows.start(y) + i) * columns.input + columns.start(z);
      for (std::int64_t j = columns.first(z); j < columns.last(z); ++j, ++count) sum += row[j];
    }
    return count == 0 ? std::int16_t{0} : static_cast<std::int16_t>(litert::pooled(sum, count));
  }

  [[nodiscard]] Outputs limited(const Tensor& image) const {
    OCTET_ASSIGN(auto codes, wide_codes(image, output_));
    auto* q = codes.mutable_data<std::int16_t>();
    for (std::int64_t i = 0; i < codes.size(); ++i) {
      q[i] = static_cast<std::int16_t>(saturate<std::int32_t>(q[i], low_, high_));
    }
    OCTET_ASSIGN(auto result, wide_image(codes, output_));
    return one_image(std::move(result));
  }

  Node node_;
  Quantization input_, output_;
  std::int32_t low_, high_;
};

class ResampleOp final : public FloatOp {
 public:
  ResampleOp(const Node& node, Quantization input, Quantization output)
      : node_(node), input_(std::move(input)), output_(std::move(output)) {}

  [[nodiscard]] Outputs run(Arguments arguments, State* /*state*/) const override {
    OCTET_ASSIGN(const auto image,
                 converted_image(to_plain(*arguments[0]).tensor, input_, output_));
    OCTET_ASSIGN(const auto x, wide_codes(image, output_));
    const auto operand = [&](std::size_t i) -> const Tensor* {
      const bool given = i < arguments.size() && arguments[i] != nullptr;
      return given && arguments[i]->tensor.size() > 0 ? &arguments[i]->tensor : nullptr;
    };
    OCTET_ASSIGN(const Shape shape, litert_resized(node_, x.shape(), operand(2), operand(3)));
    const std::int64_t height = x.dim(2);
    const std::int64_t width = x.dim(3);
    constexpr auto form = litert::Resample::fixed;
    const auto rows = litert_resample_points(node_, form, height, shape[2]);
    const auto columns = litert_resample_points(node_, form, width, shape[3]);
    Tensor codes(DType::i16, shape);
    auto* out = codes.mutable_data<std::int16_t>();
    for (std::int64_t plane = 0; plane < x.dim(0) * x.dim(1); ++plane) {
      const auto* q = x.data<std::int16_t>() + plane * height * width;
      for (const auto& y : rows) {
        const auto* above = q + y.lower * width;
        const auto* below = q + y.upper * width;
        for (const auto& z : columns) {
          *out++ = static_cast<std::int16_t>(litert::resample(
              form, y, z, above[z.lower], above[z.upper], below[z.lower], below[z.upper]));
        }
      }
    }
    OCTET_ASSIGN(auto result, wide_image(codes, output_));
    return one_image(std::move(result));
  }

 private:
  Node node_;
  Quantization input_, output_;
};

}  // namespace

std::unique_ptr<FloatOp> make_wide_average(const Node& node, const Quantization& input,
                                           const Quantization& output,
                                           const NodePlacement& placement) {
  return std::make_unique<AverageOp>(node, input, output, placement);
}

std::unique_ptr<FloatOp> make_wide_resample(const Node& node, const Quantization& input,
                                            const Quantization& output) {
  return std::make_unique<ResampleOp>(node, input, output);
}

}  // namespace octet
