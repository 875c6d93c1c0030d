// The borders between codes and floats, and tables on codes.

#include "arithmetic/dynamic.h"
#include "arithmetic/quantize.h"
#include "engine/float/buffer_pool.h"
#include "engine/integer/step.h"
#include "engine/integer/wide_values.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

void quantize_all(const kernels::CodeParams& params, const float* values, std::uint8_t* codes,
                  std::int64_t count, int threads) {
  split_rows(count, threads, static_cast<double>(count) / per_nanosecond::quantized,
             [&](int, std::int64_t first, std::int64_t last) {
               kernels::quantize_codes(params, values + first, codes + first, last - first);
             });
}

/// Codes of images channels-last from floats of images by planes.
void quantize_images(const kernels::CodeParams& params, const Tensor& images, std::uint8_t* codes,
                     int threads) {
  const std::int64_t channels = images.dim(1);
  const std::int64_t pixels = images.dim(2) * images.dim(3);
  const double nanoseconds = static_cast<double>(channels * pixels) / per_nanosecond::quantized;
  for (std::int64_t n = 0; n < images.dim(0); ++n) {
    const float* image = images.data<float>() + n * channels * pixels;
    std::uint8_t* output = codes + n * channels * pixels;
    split_rows(pixels, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
      kernels::quantize_planes(params, image + first, pixels, channels, last - first,
                               output + first * channels);
    });
  }
}

class LookupStep final : public Step {
 public:
  LookupStep(NodeId id, const kernels::LookupTable& table, int input, int output)
      : Step(id, {input}, {output}), table_(table) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    const std::int64_t count = element_count(shapes[at(inputs[0])].shape);
    BoundStep bound;
    const double nanoseconds = static_cast<double>(count) / per_nanosecond::lookups;
    bound.nanoseconds = nanoseconds;
    bound.run = [this, count, nanoseconds, threads](RunContext& context) -> Status {
      const auto* in = context.codes[at(inputs[0])];
      auto* out = context.codes[at(outputs[0])];
      split_rows(count, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
        kernels::lookup(table_, in + first, out + first, last - first);
      });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "u8_lookup_tensor_any_1"; }
  [[nodiscard]] std::optional<kernels::LookupTable> table(
      std::span<const kernels::LookupTable* const> input_tables) const override {
    kernels::LookupTable composed{};
    kernels::lookup(table_, input_tables[0]->data(), composed.data(), 256);
    return composed;
  }

 private:
  kernels::LookupTable table_;
};

class QuantizeStep final : public Step {
 public:
  QuantizeStep(NodeId id, const kernels::CodeParams& params, int input, int output)
      : Step(id, {input}, {output}), params_(params) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    const std::int64_t count = element_count(shapes[at(outputs[0])].shape);
    const bool channels_last = shapes[at(outputs[0])].channels_last;
    BoundStep bound;
    bound.nanoseconds = static_cast<double>(count) / per_nanosecond::quantized;
    bound.run = [this, count, channels_last, threads](RunContext& context) -> Status {
      const Activation& in = context.floats[at(inputs[0])];
      if (in.tensor.dtype() != DType::f32 || in.tensor.size() != count) {
        return bad_input("cannot quantize {} {}", name(in.tensor.dtype()),
                         to_string(in.tensor.shape()));
      }
      const bool images = channels_last && in.tensor.rank() == 4;
      if (images && !in.channels_last && in.tensor.dim(1) <= kernels::max_planes) {
        quantize_images(params_, in.tensor, context.codes[at(outputs[0])], threads);
        return {};
      }
      const Activation ordered = images ? to_channels_last(in) : to_plain(in);
      quantize_all(params_, ordered.tensor.data<float>(), context.codes[at(outputs[0])], count,
                   threads);
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "u8_quantize_tensor_onnx_1"; }

 private:
  kernels::CodeParams params_;
};

class DequantizeStep final : public Step {
 public:
  DequantizeStep(NodeId id, const kernels::CodeParams& params, int input, int output)
      : Step(id, {input}, {output}), params_(params) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    BoundStep bound;
    bound.run = [this, shape = shapes[at(outputs[0])].shape,
                 channels_last =
                     shapes[at(inputs[0])].channels_last](RunContext& context) -> Status {
      OCTET_ASSIGN(auto values, float_engine::new_tensor(DType::f32, shape));
      kernels::dequantize_codes(params_, context.codes[at(inputs[0])], values.mutable_data<float>(),
                                values.size());
      context.floats[at(outputs[0])] = {std::move(values), channels_last && shape.size() == 4};
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "u8_dequantize_tensor_onnx_1"; }

 private:
  kernels::CodeParams params_;
};

class FakeQuantizeStep final : public Step {
 public:
  FakeQuantizeStep(NodeId id, Quantization quantization, Rule rule, int input, int output)
      : Step(id, {input}, {output}), quantization_(std::move(quantization)), rule_(rule) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& /*shapes*/,
                                       int /*threads*/) const override {
    BoundStep bound;
    bound.run = [this](RunContext& context) -> Status {
      const Activation in = to_plain(context.floats[at(inputs[0])]);
      OCTET_ASSIGN(auto values, fake_quantize_by(rule_, in.tensor, quantization_));
      context.floats[at(outputs[0])] = {std::move(values), false};
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "f32_fakequantize_any_onnx_1"; }

 private:
  Quantization quantization_;
  Rule rule_;
};

class ConvertImageStep final : public Step {
 public:
  ConvertImageStep(NodeId id, Quantization from, Quantization to, int input, int output)
      : Step(id, {input}, {output}), from_(std::move(from)), to_(std::move(to)) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& /*shapes*/,
                                       int /*threads*/) const override {
    BoundStep bound;
    bound.run = [this](RunContext& context) -> Status {
      const Activation& in = context.floats[at(inputs[0])];
      OCTET_ASSIGN(auto image, converted_image(in.tensor, from_, to_));
      context.floats[at(outputs[0])] = {std::move(image), in.channels_last};
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "i16_convert_tensor_litert_1"; }

 private:
  Quantization from_, to_;
};

/// x as DynamicQuantizeLinear sees it: its order does not matter.
Result<kernels::CodeParams> dynamic_code_params(const Tensor& values) {
  if (values.dtype() != DType::f32) return bad_input("cannot quantize {}", name(values.dtype()));
  const auto range = kernels::value_range(values.data<float>(), values.size());
  const auto params = dynamic_params(range.minimum, range.maximum);
  return kernels::CodeParams{params.scale, static_cast<std::uint8_t>(params.zero_point)};
}

class DynamicQuantizeStep final : public Step {
 public:
  DynamicQuantizeStep(NodeId id, InputOrder order, int input, int output)
      : Step(id, {input}, {output}), order_(order) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& /*shapes*/, int threads) const override {
    BoundStep bound;
    bound.run = [this, threads](RunContext& context) -> Status {
      OCTET_ASSIGN(const auto values, in_input_order(context.floats[at(inputs[0])], order_));
      OCTET_ASSIGN(const auto params, dynamic_code_params(values.tensor));
      OCTET_ASSIGN(auto codes, float_engine::new_tensor(DType::u8, values.tensor.shape()));
      quantize_all(params, values.tensor.data<float>(), codes.mutable_data<std::uint8_t>(),
                   codes.size(), threads);
      context.floats[at(outputs[0])] = {std::move(codes), values.channels_last};
      context.input_params[at(outputs[0])] = {params.zero_point, params.scale};
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "u8_dynamicquantize_tensor_onnx_1"; }

 private:
  InputOrder order_;
};

class DynamicFakeQuantizeStep final : public Step {
 public:
  DynamicFakeQuantizeStep(NodeId id, int input, int output) : Step(id, {input}, {output}) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& /*shapes*/, int threads) const override {
    BoundStep bound;
    bound.run = [this, threads](RunContext& context) -> Status {
      const Activation& in = context.floats[at(inputs[0])];
      OCTET_ASSIGN(const auto params, dynamic_code_params(in.tensor));
      OCTET_ASSIGN(auto codes, float_engine::new_tensor(DType::u8, in.tensor.shape()));
      OCTET_ASSIGN(auto values, float_engine::new_tensor(DType::f32, in.tensor.shape()));
      quantize_all(params, in.tensor.data<float>(), codes.mutable_data<std::uint8_t>(),
                   codes.size(), threads);
      kernels::dequantize_codes(params, codes.data<std::uint8_t>(), values.mutable_data<float>(),
                                values.size());
      context.floats[at(outputs[0])] = {std::move(values), in.channels_last};
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return "f32_dynamicfakequantize_tensor_onnx_1";
  }
};

}  // namespace

Result<Activation> in_input_order(const Activation& values, InputOrder order) {
  const Shape& shape = values.tensor.shape();
  if (order == InputOrder::plain) return to_plain(values);
  if (order == InputOrder::image) {
    if (shape.size() != 3) return bad_input("input has rank {}", shape.size());
    return to_channels_last({values.tensor.reshaped({shape[0], shape[1], 1, shape[2]}), false});
  }
  if (shape.size() != 4) return bad_input("input has rank {}", shape.size());
  return to_channels_last(values);
}

StepPointer make_lookup_step(NodeId node, const kernels::LookupTable& table, int input,
                             int output) {
  return std::make_unique<LookupStep>(node, table, input, output);
}
StepPointer make_quantize_step(NodeId node, const kernels::CodeParams& params, int input,
                               int output) {
  return std::make_unique<QuantizeStep>(node, params, input, output);
}
StepPointer make_dequantize_step(NodeId node, const kernels::CodeParams& params, int input,
                                 int output) {
  return std::make_unique<DequantizeStep>(node, params, input, output);
}
StepPointer make_convert_image_step(NodeId node, const Quantization& from, const Quantization& to,
                                    int input, int output) {
  return std::make_unique<ConvertImageStep>(node, from, to, input, output);
}
StepPointer make_fake_quantize_step(NodeId node, const Quantization& quantization, Rule rule,
                                    int input, int output) {
  return std::make_unique<FakeQuantizeStep>(node, quantization, rule, input, output);
}
StepPointer make_dynamic_quantize_step(NodeId node, InputOrder order, int input, int output) {
  return std::make_unique<DynamicQuantizeStep>(node, order, input, output);
}
StepPointer make_dynamic_fake_quantize_step(NodeId node, int input, int output) {
  return std::make_unique<DynamicFakeQuantizeStep>(node, input, output);
}

}  // namespace octet::integer
