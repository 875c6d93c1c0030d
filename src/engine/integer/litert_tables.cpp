#include "engine/integer/litert_tables.h"

#include <functional>

#include "arithmetic/litert_unary.h"
#include "arithmetic/quantize.h"
#include "engine/integer/placement_rules.h"

namespace octet {
namespace {

using kernels::CodeParams;
using kernels::LookupTable;
using litert::Affine;

/// Params of codes as the file has them.
Affine file_affine(const CodeParams& params) {
  return {params.scale, params.zero_point - params.file_offset()};
}

/// One function between two quantizations: everything in the codes of the file.
struct Between {
  explicit Between(const CodeParams& in, const CodeParams& out)
      : rule(out.rule),
        input(file_affine(in)),
        output(file_affine(out)),
        input_offset(in.file_offset()),
        output_offset(out.file_offset()),
        low(out.low - output_offset),
        high(out.high - output_offset) {}

  /// fn takes the file's code and gives one within [low, high].
  [[nodiscard]] LookupTable table(const std::function<std::int32_t(std::int32_t)>& fn) const {
    LookupTable result{};
    for (std::size_t q = 0; q < result.size(); ++q) {
      const auto code = static_cast<std::int32_t>(q);
      result[q] = static_cast<std::uint8_t>(fn(code - input_offset) + output_offset);
    }
    return result;
  }

  /// LiteRT tabulates the function of reals.
  [[nodiscard]] LookupTable table_of(litert::TableForm form,
                                     const std::function<float(float)>& fn) const {
    return table([&](std::int32_t code) {
      const float x = dequantize_value(code, input.scale, input.zero_point);
      return litert::table_code(form, fn(x), output, low, high);
    });
  }

  Rule rule;
  Affine input, output;
  std::int32_t input_offset, output_offset;
  std::int32_t low, high;
};

/// RELU and its kin.
LookupTable bounded(const Between& between, const Bounds& bounds) {
  const auto bound = [&](float real) {
    return litert::bound_half_away(real, between.output.scale, between.output.zero_point,
                                   between.low, between.high);
  };
  const std::int32_t low = bound(bounds.low);
  const std::int32_t high = bound(bounds.high);
  return between.table([&](std::int32_t code) {
    return litert::rescale(code, between.input, between.output, low, high);
  });
}

/// Those that XNNPACK tabulates too.
std::optional<std::function<float(float)>> delegated_function(const Node& node,
                                                              litert::TableForm form) {
  if (node.is("Sigmoid")) return [form](float x) { return litert::logistic(form, x); };
  if (node.is("Tanh")) return [](float x) { return std::tanh(x); };
  if (node.is("Elu") && node.float_attribute("alpha", 1.0F) == 1.0F) return litert::elu;
  return std::nullopt;
}

/// Those that built-in kernels tabulate by either rule.
std::optional<std::function<float(float)>> built_in_function(const Node& node) {
  if (node.is("Exp")) return [](float x) { return std::exp(x); };
  if (node.is("Log")) return [](float x) { return std::log(x); };
  if (node.is("Gelu")) {
    const bool approximate = node.string_attribute("approximate", "none") == "tanh";
    return [approximate](float x) { return litert::gelu(approximate, x); };
  }
  return std::nullopt;
}

}  // namespace

LookupTable litert_convert_table(const CodeParams& input, const CodeParams& output) {
  const Between between(input, output);
  const bool same_type = input.stored_unsigned == output.stored_unsigned;
  return between.table([&](std::int32_t code) {
    return litert::convert(between.rule, same_type, code, between.input, between.output,
                           between.low, between.high);
  });
}

bool joins_by_table(const CodeParams& input, const CodeParams& output) {
  return is_litert(output.rule) && input.stored_unsigned && output.stored_unsigned;
}

LookupTable litert_join_table(const CodeParams& input, const CodeParams& output) {
  const Between between(input, output);
  return between.table([&](std::int32_t code) {
    return litert::join(code, between.input, between.output, between.low, between.high);
  });
}

std::optional<LookupTable> litert_table(const Graph& graph, const Node& node,
                                        const CodeParams& input, const CodeParams& output) {
  const Between b(input, output);
  if (const auto bounds = activation_bounds(graph, node)) return bounded(b, *bounds);
  if (node.is("LeakyRelu")) {
    const float slope = node.float_attribute("alpha", 0.01F);
    return b.table([&](std::int32_t code) {
      return litert::leaky_relu(b.rule, slope, code, b.input, b.output, b.low, b.high);
    });
  }
  if (node.is("HardSwish")) {
    return b.table([&](std::int32_t code) {
      return litert::hard_swish(code, b.input, b.output, b.low, b.high);
    });
  }
  if (node.is("Abs")) {
    return b.table([&](std::int32_t code) {
      return litert::absolute(code, b.input, b.output, b.low, b.high);
    });
  }
  if (node.is("Sqrt")) {
    return b.table(
        [&](std::int32_t code) { return litert::root(code, b.input, b.output, b.low, b.high); });
  }
  if (node.is("Neg") && !input.stored_unsigned) return b.table(litert::negative);
  const auto form =
      b.rule == Rule::xnnpack ? litert::TableForm::delegate : litert::TableForm::built_in;
  if (const auto fn = delegated_function(node, form)) return b.table_of(form, *fn);
  if (const auto fn = built_in_function(node)) {
    return b.table_of(litert::TableForm::built_in, *fn);
  }
  return std::nullopt;
}

LookupTable litert_reciprocal_root_table(const CodeParams& input, const CodeParams& output) {
  const Between b(input, output);
  return b.table([&](std::int32_t code) {
    return litert::reciprocal_root(code, b.input, b.output, b.low, b.high);
  });
}

}  // namespace octet
