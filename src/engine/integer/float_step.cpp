// Nodes that stay in float, and tables made by running one.

#include "arithmetic/quantize.h"
#include "engine/integer/litert_tables.h"
#include "engine/integer/step.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

class FloatStep final : public Step {
 public:
  FloatStep(NodeId id, std::string op_name, std::unique_ptr<FloatOp> op, std::vector<int> in,
            std::vector<int> out)
      : Step(id, std::move(in), std::move(out)), op_name_(std::move(op_name)), op_(std::move(op)) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& /*shapes*/,
                                       int /*threads*/) const override {
    BoundStep bound;
    std::shared_ptr<FloatOp::State> state = op_->make_state();
    bound.run = [this, state](RunContext& context) -> Status {
      std::vector<const Activation*> arguments;
      for (const int buffer : inputs) {
        arguments.push_back(buffer < 0 ? nullptr : &context.floats[at(buffer)]);
      }
      OCTET_ASSIGN(auto results, op_->run(arguments, state.get()));
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        if (outputs[i] < 0) continue;
        if (i >= results.size()) return internal_error("output {} was not computed", i);
        context.floats[at(outputs[i])] = std::move(results[i]);
      }
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return op_name_; }
  [[nodiscard]] bool brings_threads() const override { return true; }

 private:
  std::string op_name_;
  std::unique_ptr<FloatOp> op_;
};

}  // namespace

Result<StepPointer> make_float_step(const Graph& graph, NodeId node, std::vector<int> inputs,
                                    std::vector<int> outputs) {
  OCTET_ASSIGN(auto op, make_float_op(graph, node));
  return make_operator_step(node, "float " + graph.node(node).op, std::move(op), std::move(inputs),
                            std::move(outputs));
}

StepPointer make_operator_step(NodeId node, std::string name, std::unique_ptr<FloatOp> op,
                               std::vector<int> inputs, std::vector<int> outputs) {
  return std::make_unique<FloatStep>(node, std::move(name), std::move(op), std::move(inputs),
                                     std::move(outputs));
}

Result<kernels::LookupTable> unary_table(const Graph& graph, NodeId node, std::size_t position,
                                         const kernels::CodeParams& input,
                                         const kernels::CodeParams& output) {
  if (is_litert(output.rule)) {
    const auto table = litert_table(graph, graph.node(node), input, output);
    if (table) return *table;
  }
  OCTET_ASSIGN(const auto op, make_float_op(graph, node));
  Activation values{Tensor(DType::f32, {256}), false};
  for (int code = 0; code < 256; ++code) {
    values.tensor.mutable_data<float>()[code] =
        dequantize_value(code, input.scale, input.zero_point);
  }
  std::vector<Activation> constants;
  constants.reserve(graph.node(node).inputs.size());
  std::vector<const Activation*> arguments;
  for (std::size_t i = 0; i < graph.node(node).inputs.size(); ++i) {
    const auto* constant = graph.constant(graph.node(node).input(i));
    if (constant == nullptr) {
      arguments.push_back(i == position ? &values : nullptr);
      continue;
    }
    // Of a number [1,1,1] the rank would count.
    const bool number = constant->dtype() == DType::f32 && constant->size() == 1;
    constants.push_back({number ? constant->reshaped({}) : *constant, false});
    arguments.push_back(&constants.back());
  }
  const auto state = op->make_state();
  OCTET_ASSIGN(const auto results, op->run(arguments, state.get()));
  if (results.empty() || results[0].tensor.size() != 256) {
    return internal_error("a unary op did not give one value for each input");
  }
  kernels::LookupTable table{};
  const Activation plain = to_plain(results[0]);
  kernels::quantize_codes(output, plain.tensor.data<float>(), table.data(), 256);
  return table;
}

kernels::LookupTable requantize_table(const kernels::CodeParams& input,
                                      const kernels::CodeParams& output) {
  if (is_litert(output.rule)) return litert_convert_table(input, output);
  float values[256];
  for (int code = 0; code < 256; ++code) {
    values[code] = dequantize_value(code, input.scale, input.zero_point);
  }
  kernels::LookupTable table{};
  kernels::quantize_codes(output, values, table.data(), 256);
  return table;
}

}  // namespace octet::integer
