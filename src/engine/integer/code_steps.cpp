// Elementwise steps, pooling, and the borders between codes and floats.

#include <numeric>

#include "arithmetic/quantize.h"
#include "engine/integer/step.h"
#include "graph/spatial.h"
#include "kernels/pool.h"

namespace octet::integer {
namespace {

using kernels::CodeParams;

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

class BinaryStep final : public Step {
 public:
  BinaryStep(NodeId id, const kernels::BinaryParams& params, std::vector<int> in, int out)
      : Step(id, std::move(in), {out}), params_(params) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    const Shape& out = shapes[at(outputs[0])];
    auto geometry = make_geometry(shapes[at(inputs[0])], shapes[at(inputs[1])], out);
    const std::int64_t rows = geometry.extent[0] * geometry.extent[1] * geometry.extent[2];
    const double nanoseconds =
        static_cast<double>(rows * geometry.extent[3]) / per_nanosecond::binary_elements;
    BoundStep bound;
    bound.run = [this, geometry, rows, nanoseconds, threads](RunContext& context) -> Status {
      const auto* a = context.codes[at(inputs[0])];
      const auto* b = context.codes[at(inputs[1])];
      auto* out_codes = context.codes[at(outputs[0])];
      split_rows(rows, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
        kernels::binary(params_, geometry, a, b, out_codes, first, last);
      });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    switch (params_.op) {
      case kernels::BinaryOp::add: return "u8_add_tensor_onnx_1__reference";
      case kernels::BinaryOp::subtract: return "u8_subtract_tensor_onnx_1__reference";
      case kernels::BinaryOp::multiply: return "u8_multiply_tensor_onnx_1__reference";
    }
    return {};
  }

 private:
  static kernels::BinaryGeometry make_geometry(const Shape& a, const Shape& b, const Shape& out) {
    const std::size_t rank = out.size();
    const auto order = storage_order(out);
    const auto stride = [&](const Shape& shape, std::size_t dim) -> std::int64_t {
      const std::size_t missing = rank - shape.size();
      if (dim < missing || shape[dim - missing] == 1) return 0;
      return storage_strides(shape)[dim - missing];
    };
    kernels::BinaryGeometry g;
    for (std::size_t i = 0; i < rank; ++i) {
      const std::size_t slot = 4 - rank + i;
      g.extent[slot] = out[order[i]];
      g.a_stride[slot] = stride(a, order[i]);
      g.b_stride[slot] = stride(b, order[i]);
    }
    merge_dense(g);
    return g;
  }

  /// Where both operands run densely through the last two dimensions these become one, so that a
  /// row is long; not longer than lets a call be split over threads.
  static void merge_dense(kernels::BinaryGeometry& g) {
    for (int merged = 0; merged < 3; ++merged) {
      const std::int64_t run = g.extent[3];
      const auto dense = [&](const std::array<std::int64_t, 4>& stride) {
        return stride[3] == 1 && (stride[2] == run || g.extent[2] == 1);
      };
      if (run >= 4096 || !dense(g.a_stride) || !dense(g.b_stride)) return;
      g.extent = {1, g.extent[0], g.extent[1], g.extent[2] * run};
      g.a_stride = {0, g.a_stride[0], g.a_stride[1], 1};
      g.b_stride = {0, g.b_stride[0], g.b_stride[1], 1};
    }
  }

  kernels::BinaryParams params_;
};

class PoolStep final : public Step {
 public:
  PoolStep(const Graph& graph, NodeId id, const CodeParams& in, const CodeParams& out, int input,
           int output)
      : Step(id, {input}, {output}), description_(graph.node(id)), in_(in), out_(out) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    OCTET_ASSIGN(const auto g, geometry(shapes[at(inputs[0])]));
    const std::int64_t rows = g.batch * g.out_height;
    const std::int64_t taps =
        rows * g.out_width * g.channels * std::int64_t{g.kernel_height} * g.kernel_width;
    const double nanoseconds = static_cast<double>(taps) / per_nanosecond::pool_taps;
    const auto count = description_.int_attribute("count_include_pad", 0) != 0
                           ? kernels::PoolCount::padded
                           : kernels::PoolCount::inside;
    BoundStep bound;
    bound.run = [this, g, rows, nanoseconds, count, threads](RunContext& context) -> Status {
      const auto* in = context.codes[at(inputs[0])];
      auto* out = context.codes[at(outputs[0])];
      split_rows(rows, threads, nanoseconds, [&](int, std::int64_t first, std::int64_t last) {
        if (description_.is("MaxPool")) {
          kernels::max_pool(g, out_.low, in, out, first, last);
        } else {
          kernels::average_pool(g, count, in_, out_, in, out, first, last);
        }
      });
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return description_.is("MaxPool") ? "u8_maxpool_tensor_onnx_1__reference"
                                      : "u8_averagepool_tensor_onnx_1__reference";
  }

 private:
  [[nodiscard]] Result<kernels::PoolGeometry> geometry(const Shape& input) const {
    kernels::PoolGeometry g;
    if (input.size() != 4) return bad_input("input has rank {}", input.size());
    for (const auto extent : input) {
      if (extent < 0 || extent > INT32_MAX) return bad_input("input {}", to_string(input));
    }
    g.batch = input[0];
    g.channels = static_cast<int>(input[1]);
    g.in_height = static_cast<int>(input[2]);
    g.in_width = static_cast<int>(input[3]);
    if (description_.is("GlobalAveragePool")) {
      g.kernel_height = g.in_height;
      g.kernel_width = g.in_width;
      return g;
    }
    OCTET_ASSIGN(const auto spatial, resolve_pool(description_, input));
    const auto pick = [](const std::vector<std::int64_t>& v, std::size_t i) {
      return static_cast<int>(v[i]);
    };
    g.out_height = pick(spatial.output, 0);
    g.out_width = pick(spatial.output, 1);
    g.kernel_height = pick(spatial.kernel, 0);
    g.kernel_width = pick(spatial.kernel, 1);
    g.stride_height = pick(spatial.strides, 0);
    g.stride_width = pick(spatial.strides, 1);
    g.dilation_height = pick(spatial.dilations, 0);
    g.dilation_width = pick(spatial.dilations, 1);
    g.pad_top = pick(spatial.pads_begin, 0);
    g.pad_left = pick(spatial.pads_begin, 1);
    g.pad_bottom = pick(spatial.pads_end, 0);
    g.pad_right = pick(spatial.pads_end, 1);
    return g;
  }

  Node description_;
  CodeParams in_, out_;
};

class LookupStep final : public Step {
 public:
  LookupStep(NodeId id, const kernels::LookupTable& table, int input, int output)
      : Step(id, {input}, {output}), table_(table) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int threads) const override {
    const std::int64_t count = element_count(shapes[at(inputs[0])]);
    BoundStep bound;
    const double nanoseconds = static_cast<double>(count) / per_nanosecond::lookups;
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
  [[nodiscard]] std::string kernel() const override { return "u8_lookup_tensor_any_1__reference"; }

 private:
  kernels::LookupTable table_;
};

class QuantizeStep final : public Step {
 public:
  QuantizeStep(NodeId id, const CodeParams& params, int input, int output)
      : Step(id, {input}, {output}), params_(params) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    const std::int64_t count = element_count(shapes[at(outputs[0])]);
    BoundStep bound;
    bound.run = [this, count](RunContext& context) -> Status {
      const Activation& in = context.floats[at(inputs[0])];
      if (in.tensor.dtype() != DType::f32 || in.tensor.size() != count) {
        return bad_input("cannot quantize {} {}", name(in.tensor.dtype()),
                         to_string(in.tensor.shape()));
      }
      const Activation ordered = in.tensor.rank() == 4 ? to_channels_last(in) : in;
      kernels::quantize_codes(params_, ordered.tensor.data<float>(), context.codes[at(outputs[0])],
                              count);
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return "u8_quantize_tensor_onnx_1__reference";
  }

 private:
  CodeParams params_;
};

class DequantizeStep final : public Step {
 public:
  DequantizeStep(NodeId id, const CodeParams& params, int input, int output)
      : Step(id, {input}, {output}), params_(params) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    BoundStep bound;
    bound.run = [this, shape = shapes[at(outputs[0])]](RunContext& context) -> Status {
      Tensor values(DType::f32, shape);
      kernels::dequantize_codes(params_, context.codes[at(inputs[0])], values.mutable_data<float>(),
                                values.size());
      context.floats[at(outputs[0])] = {std::move(values), shape.size() == 4};
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return "u8_dequantize_tensor_onnx_1__reference";
  }

 private:
  CodeParams params_;
};

class FakeQuantizeStep final : public Step {
 public:
  FakeQuantizeStep(NodeId id, Quantization quantization, int input, int output)
      : Step(id, {input}, {output}), quantization_(std::move(quantization)) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& /*shapes*/,
                                       int /*threads*/) const override {
    BoundStep bound;
    bound.run = [this](RunContext& context) -> Status {
      const Activation in = to_plain(context.floats[at(inputs[0])]);
      OCTET_ASSIGN(auto values,
                   fake_quantize(in.tensor, quantization_.params, quantization_.scheme));
      context.floats[at(outputs[0])] = {std::move(values), false};
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    return "f32_fakequantize_any_onnx_1__reference";
  }

 private:
  Quantization quantization_;
};

}  // namespace

StepPointer make_binary_step(NodeId node, const kernels::BinaryParams& params,
                             std::vector<int> inputs, int output) {
  return std::make_unique<BinaryStep>(node, params, std::move(inputs), output);
}
StepPointer make_pool_step(const Graph& graph, NodeId node, const CodeParams& input_params,
                           const CodeParams& output_params, int input, int output) {
  return std::make_unique<PoolStep>(graph, node, input_params, output_params, input, output);
}
StepPointer make_lookup_step(NodeId node, const kernels::LookupTable& table, int input,
                             int output) {
  return std::make_unique<LookupStep>(node, table, input, output);
}
StepPointer make_quantize_step(NodeId node, const CodeParams& params, int input, int output) {
  return std::make_unique<QuantizeStep>(node, params, input, output);
}
StepPointer make_dequantize_step(NodeId node, const CodeParams& params, int input, int output) {
  return std::make_unique<DequantizeStep>(node, params, input, output);
}
StepPointer make_fake_quantize_step(NodeId node, const Quantization& quantization, int input,
                                    int output) {
  return std::make_unique<FakeQuantizeStep>(node, quantization, input, output);
}

}  // namespace octet::integer
