#include "engine/simulation/simulated_litert.h"

#include "arithmetic/litert_binary.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer/litert_tables.h"
#include "engine/integer/step.h"
#include "engine/simulation/broadcast_pairs.h"
#include "graph/resize.h"

namespace octet::simulation {
namespace {

constexpr std::int32_t to_unsigned = 128;

CodedActivation looked_up(const CodedActivation& codes, const kernels::LookupTable& table) {
  CodedActivation result{Tensor(DType::i8, codes.codes.shape()), codes.channels_last};
  const auto* from = codes.codes.data<std::int8_t>();
  auto* to = result.codes.mutable_data<std::int8_t>();
  for (std::int64_t i = 0; i < codes.codes.size(); ++i) {
    to[i] = static_cast<std::int8_t>(table[static_cast<std::size_t>(from[i] + to_unsigned)] -
                                     to_unsigned);
  }
  return result;
}

litert::Affine affine(const Quantization& quantization) {
  return {quantization.params.scale[0], quantization.params.zero_point[0]};
}

litert::Operation operation(const Node& node, const NodePlacement& placement) {
  if (placement.squares) return litert::Operation::squared_difference;
  if (node.is("Add")) return litert::Operation::add;
  if (node.is("Sub")) return litert::Operation::subtract;
  return node.is("PRelu") ? litert::Operation::prelu : litert::Operation::multiply;
}

}  // namespace

CodedActivation convert_codes(const CodedActivation& codes, const Quantization& from,
                              const Quantization& to, Rule rule, Conversion conversion) {
  const auto input = integer::code_params(from, rule);
  const auto output = integer::code_params(to, rule);
  const bool same = input.scale == output.scale && input.zero_point == output.zero_point &&
                    input.low == output.low && input.high == output.high;
  if (same) return codes;
  if (conversion == Conversion::join && joins_by_table(input, output)) {
    return looked_up(codes, litert_join_table(input, output));
  }
  return looked_up(codes, integer::requantize_table(input, output));
}

Result<CodedActivation> litert_binary_codes(const Node& node, const Operand& a, const Operand& b,
                                            const Quantization& output,
                                            const NodePlacement& placement, Rule rule) {
  const auto binary = litert::binary(rule, operation(node, placement), affine(*a.quantization),
                                     affine(*b.quantization), affine(output));
  return for_each_pair(a, b, [&](std::int32_t x, std::int32_t y) {
    return litert::code(binary, x, y, placement.low, placement.high);
  });
}

Result<CodedActivation> litert_lookup_codes(const Graph& graph, NodeId node, std::size_t position,
                                            const Operand& input, const Quantization& output,
                                            const NodePlacement& placement, Rule rule) {
  const auto from = integer::code_params(*input.quantization, rule);
  auto to = integer::code_params(output, rule);
  to.low = static_cast<std::uint8_t>(placement.low + to_unsigned);
  to.high = static_cast<std::uint8_t>(placement.high + to_unsigned);
  if (placement.inverts) return looked_up(input.coded, litert_reciprocal_root_table(from, to));
  OCTET_ASSIGN(const auto table, integer::unary_table(graph, node, position, from, to));
  return looked_up(input.coded, table);
}

Result<CodedActivation> litert_softmax_codes(const QuantizedGraph& model, const Node& node,
                                             const Operand& input) {
  const CodedActivation plain = to_plain_codes(input.coded);
  const Shape& shape = plain.codes.shape();
  OCTET_ASSIGN(const int axis, normalize_axis(node.int_attribute("axis", -1), shape.size()));
  const std::int64_t count = shape[static_cast<std::size_t>(axis)];
  const std::int64_t step = row_major_strides(shape)[static_cast<std::size_t>(axis)];
  const auto& quantization = *input.quantization;
  const litert::Softmax softmax(model.plan.rule, *litert_softmax_kind(model, node),
                                quantization.params.scale[0],
                                quantization.storage == DType::u8 ? 0 : to_unsigned);
  CodedActivation result{Tensor(DType::i8, shape), false};
  const auto* q = plain.codes.data<std::int8_t>();
  auto* out = result.codes.mutable_data<std::int8_t>();
  std::vector<std::uint8_t> from(static_cast<std::size_t>(count)), to(from.size());
  for (std::int64_t i = 0; i < plain.codes.size(); ++i) {
    if (i / step % count != 0) continue;
    for (std::size_t k = 0; k < from.size(); ++k) {
      from[k] = static_cast<std::uint8_t>(q[i + static_cast<std::int64_t>(k) * step] + to_unsigned);
    }
    softmax.row(from.data(), to.data(), count, 1);
    for (std::size_t k = 0; k < to.size(); ++k) {
      out[i + static_cast<std::int64_t>(k) * step] = static_cast<std::int8_t>(to[k] - to_unsigned);
    }
  }
  return result;
}

Result<CodedActivation> litert_resample_codes(const Graph& graph, const Node& node,
                                              const Shape& shape, const Operand& input,
                                              const Quantization& output, Rule rule) {
  const CodedActivation plain =
      to_plain_codes(convert_codes(input.coded, *input.quantization, output, rule));
  const Shape& in = plain.codes.shape();
  const bool unsigned_codes = output.storage == DType::u8;
  const auto form = litert_resample_form(graph, node, rule, unsigned_codes);
  const std::int32_t offset = unsigned_codes ? to_unsigned : 0;
  const auto rows = litert_resample_points(node, form, in[2], shape[2]);
  const auto columns = litert_resample_points(node, form, in[3], shape[3]);
  CodedActivation result{Tensor(DType::i8, shape), false};
  auto* out = result.codes.mutable_data<std::int8_t>();
  for (std::int64_t plane = 0; plane < in[0] * in[1]; ++plane) {
    const auto* q = plain.codes.data<std::int8_t>() + plane * in[2] * in[3];
    const auto at = [&](std::int64_t y, std::int64_t x) { return q[y * in[3] + x] + offset; };
    for (const auto& y : rows) {
      for (const auto& x : columns) {
        const std::int32_t code =
            litert::resample(form, y, x, at(y.lower, x.lower), at(y.lower, x.upper),
                             at(y.upper, x.lower), at(y.upper, x.upper));
        *out++ = static_cast<std::int8_t>(code - offset);
      }
    }
  }
  return result;
}

}  // namespace octet::simulation
