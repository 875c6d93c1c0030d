#include "engine/integer/wide_ops.h"

#include <algorithm>
#include <cmath>

#include "arithmetic/litert_average.h"
#include "arithmetic/litert_unary.h"
#include "arithmetic/litert_wide.h"
#include "engine/float/broadcast.h"
#include "engine/float/buffer_pool.h"
#include "engine/integer/placement_rules.h"
#include "engine/integer/step.h"
#include "engine/integer/wide_spatial_ops.h"
#include "engine/integer/wide_values.h"

namespace octet {
namespace {

using Arguments = std::span<const Activation* const>;
using Outputs = Result<std::vector<Activation>>;

litert::Affine affine(const Quantization& quantization) {
  return {quantization.params.scale[0], quantization.params.zero_point[0]};
}

Outputs one_image(const Tensor& codes, const Quantization& quantization, bool channels_last) {
  OCTET_ASSIGN(auto image, wide_image(codes, quantization));
  std::vector<Activation> outputs;
  outputs.push_back({std::move(image), channels_last});
  return outputs;
}

/// Add, Sub, Mul.
class BinaryOp final : public FloatOp {
 public:
  BinaryOp(const Node& node, Rule rule, std::array<Quantization, 2> inputs, Quantization output,
           const NodePlacement& placement, bool image)
      : inputs_(std::move(inputs)),
        output_(std::move(output)),
        binary_(binary(node, affine(inputs_[0]).scale, affine(inputs_[1]).scale,
                       affine(output_).scale)),
        low_(placement.low),
        high_(placement.high),
        blocks_(rule == Rule::xnnpack && node.is("Add") &&
                binary_.form == litert::BinaryForm::fixed_sum),
        image_(image) {}

  [[nodiscard]] Outputs run(Arguments arguments, State* /*state*/) const override {
    // Blocks are counted in the order of the file.
    const bool same = arguments[0]->tensor.shape() == arguments[1]->tensor.shape();
    const bool last = same && image_ && arguments[0]->tensor.rank() == 4;
    const auto ordered = [&](const Activation& x) {
      return last ? to_channels_last(x) : to_plain(x);
    };
    OCTET_ASSIGN(const auto a, wide_codes(ordered(*arguments[0]).tensor, inputs_[0]));
    OCTET_ASSIGN(const auto b, wide_codes(ordered(*arguments[1]).tensor, inputs_[1]));
    if (same) {
      OCTET_ASSIGN(const auto codes, of_equal_shapes(a, b));
      return one_image(codes, output_, last);
    }
    OCTET_ASSIGN(const auto plan, float_engine::BroadcastPlan::make(a.shape(), b.shape()));
    OCTET_ASSIGN(auto codes, float_engine::new_tensor(DType::i16, plan.shape()));
    const auto* x = a.data<std::int16_t>();
    const auto* y = b.data<std::int16_t>();
    auto* out = codes.mutable_data<std::int16_t>();
    plan.for_each_run([&](std::int64_t i, int i_step, std::int64_t j, int j_step, std::int64_t o,
                          std::int64_t count) {
      for (std::int64_t k = 0; k < count; ++k)
        out[o + k] = code(x[i + k * i_step], y[j + k * j_step]);
    });
    return one_image(codes, output_, false);
  }

 private:
  static litert::Binary binary(const Node& node, float a, float b, float output) {
    using litert::Operation;
    if (node.is("Mul")) return litert::wide_binary(Operation::multiply, a, b, output);
    const auto operation = node.is("Add") ? Operation::add : Operation::subtract;
    const bool shifts = node.int_attribute("pot_scale_int16", 0) != 0;
    return shifts ? litert::power_of_two_sum(operation, a, b, output)
                  : litert::wide_binary(operation, a, b, output);
  }

  [[nodiscard]] std::int16_t code(std::int32_t a, std::int32_t b) const {
    return static_cast<std::int16_t>(litert::code(binary_, a, b, low_, high_));
  }

  [[nodiscard]] Result<Tensor> of_equal_shapes(const Tensor& a, const Tensor& b) const {
    OCTET_ASSIGN(auto codes, float_engine::new_tensor(DType::i16, a.shape()));
    const auto* x = a.data<std::int16_t>();
    const auto* y = b.data<std::int16_t>();
    auto* out = codes.mutable_data<std::int16_t>();
    const std::int64_t whole = blocks_ ? codes.size() - codes.size() % litert::wide_block : 0;
    for (std::int64_t i = 0; i < whole; ++i) {
      out[i] = static_cast<std::int16_t>(litert::code_in_block(binary_, x[i], y[i], low_, high_));
    }
    for (std::int64_t i = whole; i < codes.size(); ++i) out[i] = code(x[i], y[i]);
    return codes;
  }

  std::array<Quantization, 2> inputs_;
  Quantization output_;
  litert::Binary binary_;
  std::int32_t low_, high_;
  bool blocks_;
  bool image_;
};

/// A function of one code.
class UnaryOp final : public FloatOp {
 public:
  using Function = std::function<std::int32_t(std::int32_t)>;
  UnaryOp(Function function, Quantization input, Quantization output)
      : function_(std::move(function)), input_(std::move(input)), output_(std::move(output)) {}

  [[nodiscard]] Outputs run(Arguments arguments, State* /*state*/) const override {
    const Activation& x = *arguments[0];
    OCTET_ASSIGN(auto codes, wide_codes(x.tensor, input_));
    auto* q = codes.mutable_data<std::int16_t>();
    for (std::int64_t i = 0; i < codes.size(); ++i)
      q[i] = static_cast<std::int16_t>(function_(q[i]));
    return one_image(codes, output_, x.channels_last);
  }

 private:
  Function function_;
  Quantization input_, output_;
};

UnaryOp::Function unary_function(const Graph& graph, const Node& node, WideKind kind,
                                 const Quantization& input, const Quantization& output,
                                 const NodePlacement& placement) {
  const litert::Affine from = affine(input);
  const litert::Affine to = affine(output);
  const std::int32_t low = placement.low;
  const std::int32_t high = placement.high;
  if (kind == WideKind::leaky_relu) {
    const float slope = node.float_attribute("alpha", 0.01F);
    return [=](std::int32_t q) {
      return litert::leaky_relu(Rule::tflite, slope, q, from, to, low, high);
    };
  }
  if (kind == WideKind::sigmoid) {
    const litert::WideSigmoid sigmoid(from.scale);
    if (node.is("Tanh")) return [=](std::int32_t q) { return sigmoid.tanh(q); };
    return [=](std::int32_t q) { return sigmoid.logistic(q); };
  }
  if (kind == WideKind::table) {
    const bool approximate = node.string_attribute("approximate", "none") == "tanh";
    std::function<float(float)> function = [](float x) { return std::exp(x); };
    if (node.is("Gelu")) function = [=](float x) { return litert::gelu(approximate, x); };
    const litert::WideTable table(from.scale, to.scale, function);
    return [=](std::int32_t q) { return table.at(q); };
  }
  const auto bounds = activation_bounds(graph, node).value_or(Bounds{});
  const auto bound = [&](float real) {
    return litert::bound_half_away(real, to.scale, 0, low, high);
  };
  return [=, least = bound(bounds.low), most = bound(bounds.high)](std::int32_t q) {
    return litert::rescale(q, from, to, least, most);
  };
}

/// GlobalAveragePool, ReduceMean.
class MeanOp final : public FloatOp {
 public:
  MeanOp(const Node& node, std::vector<int> axes, Quantization input, Quantization output)
      : axes_(std::move(axes)),
        keeps_rank_(!node.op.starts_with("Reduce") || node.int_attribute("keepdims", 1) != 0),
        input_(std::move(input)),
        output_(std::move(output)) {}

  [[nodiscard]] Outputs run(Arguments arguments, State* /*state*/) const override {
    OCTET_ASSIGN(const auto x, wide_codes(to_plain(*arguments[0]).tensor, input_));
    Shape kept = x.shape();
    std::int64_t count = 1;
    for (const int axis : axes_) {
      count *= std::exchange(kept[static_cast<std::size_t>(axis)], 1);
    }
    if (count == 0) return bad_input("the mean of nothing");
    auto strides = row_major_strides(kept);
    for (const int axis : axes_) strides[static_cast<std::size_t>(axis)] = 0;
    const auto from = row_major_strides(x.shape());
    std::vector<std::int64_t> sums(static_cast<std::size_t>(element_count(kept)), 0);
    const auto* q = x.data<std::int16_t>();
    for (std::int64_t i = 0; i < x.size(); ++i) {
      std::int64_t to = 0;
      for (std::size_t d = 0; d < kept.size(); ++d) to += i / from[d] % x.shape()[d] * strides[d];
      sums[static_cast<std::size_t>(to)] += q[i];
    }
    Tensor codes(DType::i16, shape_without(kept));
    const auto average = litert::average(Rule::tflite, litert::Reduction::mean, count,
                                         affine(input_), affine(output_));
    auto* out = codes.mutable_data<std::int16_t>();
    for (std::size_t i = 0; i < sums.size(); ++i) {
      out[i] = static_cast<std::int16_t>(
          litert::code(average, static_cast<std::int32_t>(sums[i]), INT16_MIN, INT16_MAX));
    }
    return one_image(codes, output_, false);
  }

 private:
  [[nodiscard]] Shape shape_without(const Shape& kept) const {
    if (keeps_rank_) return kept;
    Shape shape;
    for (std::size_t d = 0; d < kept.size(); ++d) {
      if (std::find(axes_.begin(), axes_.end(), static_cast<int>(d)) == axes_.end()) {
        shape.push_back(kept[d]);
      }
    }
    return shape;
  }

  std::vector<int> axes_;
  bool keeps_rank_;
  Quantization input_, output_;
};

class SoftmaxOp final : public FloatOp {
 public:
  SoftmaxOp(const Node& node, Quantization input, Quantization output)
      : softmax_(affine(input).scale),
        axis_(node.int_attribute("axis", -1)),
        input_(std::move(input)),
        output_(std::move(output)) {}

  [[nodiscard]] Outputs run(Arguments arguments, State* /*state*/) const override {
    OCTET_ASSIGN(auto codes, wide_codes(to_plain(*arguments[0]).tensor, input_));
    const Shape& shape = codes.shape();
    OCTET_ASSIGN(const int axis, normalize_axis(axis_, shape.size()));
    const std::int64_t count = shape[static_cast<std::size_t>(axis)];
    const std::int64_t step = row_major_strides(shape)[static_cast<std::size_t>(axis)];
    const std::int64_t rows = codes.size() == 0 ? 0 : codes.size() / count;
    auto* q = codes.mutable_data<std::int16_t>();
    std::vector<std::int16_t> line(static_cast<std::size_t>(count));
    for (std::int64_t row = 0; row < rows; ++row) {
      std::int16_t* first = q + row / step * step * count + row % step;
      for (std::int64_t i = 0; i < count; ++i) line[static_cast<std::size_t>(i)] = first[i * step];
      softmax_.row(line.data(), line.data(), count);
      for (std::int64_t i = 0; i < count; ++i) first[i * step] = line[static_cast<std::size_t>(i)];
    }
    return one_image(codes, output_, false);
  }

 private:
  litert::WideSoftmax softmax_;
  std::int64_t axis_;
  Quantization input_, output_;
};

/// Inputs are brought to the output's params, parts of a Split to theirs.
class MoveOp final : public FloatOp {
 public:
  MoveOp(std::unique_ptr<FloatOp> op, std::vector<Quantization> inputs,
         std::vector<Quantization> outputs)
      : op_(std::move(op)), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}

  [[nodiscard]] std::unique_ptr<State> make_state() const override { return op_->make_state(); }

  [[nodiscard]] Outputs run(Arguments arguments, State* state) const override {
    std::vector<Activation> converted(inputs_.size());
    std::vector<const Activation*> moved(arguments.begin(), arguments.end());
    const bool splits = outputs_.size() > 1;
    for (std::size_t i = 0; i < inputs_.size() && !splits; ++i) {
      OCTET_ASSIGN(converted[i], to(*arguments[i], inputs_[i], outputs_[0]));
      moved[i] = &converted[i];
    }
    OCTET_ASSIGN(auto results, op_->run(moved, state));
    for (std::size_t i = 0; i < results.size() && splits; ++i) {
      OCTET_ASSIGN(results[i], to(results[i], inputs_[0], outputs_[i]));
    }
    return results;
  }

 private:
  static Result<Activation> to(const Activation& image, const Quantization& from,
                               const Quantization& to) {
    OCTET_ASSIGN(auto tensor, converted_image(image.tensor, from, to));
    return Activation{std::move(tensor), image.channels_last};
  }

  std::unique_ptr<FloatOp> op_;
  std::vector<Quantization> inputs_, outputs_;
};

}  // namespace

Result<std::unique_ptr<FloatOp>> make_wide_op(const QuantizedGraph& model, const Graph& graph,
                                              NodeId id, const NodePlacement& placement) {
  const Node& node = graph.node(id);
  const auto kind = wide_kind(model, id);
  if (!kind) return internal_error("no operator of 16-bit codes");
  std::vector<Quantization> inputs;
  for (std::size_t i = 0; i < wide_inputs(node); ++i) {
    inputs.push_back(*model.plan.find(model.graph, {id, static_cast<int>(i)}));
  }
  const Quantization& output = *model.plan.find(placement.output);
  switch (*kind) {
    case WideKind::binary: {
      const bool image = integer::channels_last_values(model.graph)[index(node.output())];
      return std::make_unique<BinaryOp>(node, model.plan.rule, std::array{inputs[0], inputs[1]},
                                        output, placement, image);
    }
    case WideKind::average: return make_wide_average(node, inputs[0], output, placement);
    case WideKind::resample: return make_wide_resample(node, inputs[0], output);
    case WideKind::mean: {
      const auto rank = static_cast<int>(graph.value(node.input(0)).shape->size());
      return std::make_unique<MeanOp>(node, *constant_axes(graph, node, rank), inputs[0], output);
    }
    case WideKind::softmax: return std::make_unique<SoftmaxOp>(node, inputs[0], output);
    case WideKind::rescale:
    case WideKind::leaky_relu:
    case WideKind::sigmoid:
    case WideKind::table:
      return std::make_unique<UnaryOp>(
          unary_function(graph, node, *kind, inputs[0], output, placement), inputs[0], output);
    case WideKind::move: break;
  }
  std::vector<Quantization> outputs;
  for (const auto value : node.outputs) {
    outputs.push_back(value == ValueId::none ? output : *model.plan.find(value));
  }
  OCTET_ASSIGN(auto op, make_float_op(graph, id));
  return std::make_unique<MoveOp>(std::move(op), std::move(inputs), std::move(outputs));
}

}  // namespace octet
