// Operators that only change or state shapes, and constants.

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/float/ops.h"
#include "graph/value_facts.h"

namespace octet::float_engine {
namespace {

/// The target of a Reshape with 0 and -1 filled in.
Result<Shape> reshape_target(const Shape& input, Shape target, bool allow_zero) {
  int inferred = -1;
  std::int64_t known = 1;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == -1) {
      if (inferred >= 0) return bad_input("target {} has two -1", to_string(target));
      inferred = static_cast<int>(i);
      continue;
    }
    if (target[i] == 0 && !allow_zero) {
      if (i >= input.size()) {
        return bad_input("target {} copies a dimension that shape {} does not have",
                         to_string(target), to_string(input));
      }
      target[i] = input[i];
    }
    if (target[i] < 0 || __builtin_mul_overflow(known, target[i], &known)) {
      return bad_input("target {} is not a shape", to_string(target));
    }
  }
  const std::int64_t count = element_count(input);
  const bool fits = inferred >= 0 ? known > 0 && count % known == 0 : known == count;
  if (!fits) return bad_input("{} cannot become {}", to_string(input), to_string(target));
  if (inferred >= 0) target[static_cast<std::size_t>(inferred)] = count / known;
  return target;
}

MadeOp make_reshape(const OpSource& source) {
  const bool allow_zero = source.node.int_attribute("allowzero", 0) != 0;
  return make_function(source, InputOrder::plain, [allow_zero](Inputs inputs) -> Outputs {
    OCTET_ASSIGN(auto wanted, integer_input(*inputs[1], "the shape input"));
    const Tensor& x = inputs[0]->tensor;
    OCTET_ASSIGN(auto shape, reshape_target(x.shape(), std::move(wanted), allow_zero));
    return one_output(x.reshaped(std::move(shape)));
  });
}

MadeOp make_flatten(const OpSource& source) {
  const std::int64_t axis = source.node.int_attribute("axis", 1);
  return make_function(source, InputOrder::plain, [axis](Inputs inputs) -> Outputs {
    const Tensor& x = inputs[0]->tensor;
    const auto rank = static_cast<std::int64_t>(x.rank());
    if (axis < -rank || axis > rank) return bad_input("axis {} is outside rank {}", axis, rank);
    const auto split = x.shape().begin() + (axis < 0 ? axis + rank : axis);
    const std::int64_t rows = element_count(Shape(x.shape().begin(), split));
    const std::int64_t columns = element_count(Shape(split, x.shape().end()));
    return one_output(x.reshaped({rows, columns}));
  });
}

/// Axes from input 1 (opset 13 on) or from the attribute; nullopt when neither is there.
Result<std::optional<std::vector<std::int64_t>>> axes_of(
    Inputs inputs, const std::vector<std::int64_t>& attribute) {
  if (inputs.size() > 1 && inputs[1] != nullptr) {
    OCTET_ASSIGN(auto axes, integer_input(*inputs[1], "the axes input"));
    return axes;
  }
  if (attribute.empty()) return std::nullopt;
  return attribute;
}

Result<std::vector<bool>> axis_mask(const std::vector<std::int64_t>& axes, std::size_t rank) {
  std::vector<bool> mask(rank, false);
  for (const auto axis : axes) {
    OCTET_ASSIGN(const int normal, normalize_axis(axis, rank));
    if (mask[static_cast<std::size_t>(normal)]) return bad_input("axis {} is given twice", axis);
    mask[static_cast<std::size_t>(normal)] = true;
  }
  return mask;
}

MadeOp make_squeeze(const OpSource& source) {
  return make_function(
      source, InputOrder::plain,
      [attribute = source.node.ints_attribute("axes")](Inputs inputs) -> Outputs {
        const Tensor& x = inputs[0]->tensor;
        OCTET_ASSIGN(const auto axes, axes_of(inputs, attribute));
        OCTET_ASSIGN(const auto mask,
                     axis_mask(axes.value_or(std::vector<std::int64_t>{}), x.shape().size()));
        Shape shape;
        for (std::size_t i = 0; i < mask.size(); ++i) {
          const bool removed = axes ? mask[i] : x.shape()[i] == 1;
          if (!removed) {
            shape.push_back(x.shape()[i]);
          } else if (x.shape()[i] != 1) {
            return bad_input("dimension {} of {} is not 1", i, to_string(x.shape()));
          }
        }
        return one_output(x.reshaped(std::move(shape)));
      });
}

MadeOp make_unsqueeze(const OpSource& source) {
  return make_function(source, InputOrder::plain,
                       [attribute = source.node.ints_attribute("axes")](Inputs inputs) -> Outputs {
                         const Tensor& x = inputs[0]->tensor;
                         OCTET_ASSIGN(const auto axes, axes_of(inputs, attribute));
                         if (!axes) return bad_input("the axes are missing");
                         const std::size_t rank = x.shape().size() + axes->size();
                         OCTET_ASSIGN(const auto mask, axis_mask(*axes, rank));
                         Shape shape;
                         std::size_t next = 0;
                         for (std::size_t i = 0; i < rank; ++i)
                           shape.push_back(mask[i] ? 1 : x.shape()[next++]);
                         return one_output(x.reshaped(std::move(shape)));
                       });
}

MadeOp make_shape(const OpSource& source) {
  const std::int64_t start = source.node.int_attribute("start", 0);
  const std::int64_t end = source.node.int_attribute("end", std::int64_t{1} << 30);
  return make_function(source, InputOrder::any, [start, end](Inputs inputs) -> Outputs {
    const Shape& shape = inputs[0]->tensor.shape();
    const auto rank = static_cast<std::int64_t>(shape.size());
    const auto clamp = [rank](std::int64_t i) {
      return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank);
    };
    const std::int64_t first = clamp(start);
    const std::int64_t last = std::max(first, clamp(end));
    const Shape part(shape.begin() + first, shape.begin() + last);
    return one_output(Tensor::from<std::int64_t>(part, {last - first}));
  });
}

MadeOp make_identity(const OpSource& source) {
  return make_function(source, InputOrder::any, [](Inputs inputs) -> Outputs {
    return one_output(inputs[0]->tensor, inputs[0]->channels_last);
  });
}

MadeOp make_dropout(const OpSource& source) {
  if (source.node.input(2) != ValueId::none) {
    const Tensor* training = source.constant(2);
    if (training == nullptr || training->dtype() != DType::boolean || training->size() != 1) {
      return bad_input("training_mode must be a constant");
    }
    if (training->data<std::uint8_t>()[0] != 0) return bad_input("training mode is not supported");
  }
  const bool wants_mask = source.node.output(1) != ValueId::none;
  return make_function(source, InputOrder::any, [wants_mask](Inputs inputs) -> Outputs {
    std::vector<Activation> outputs{*inputs[0]};
    if (wants_mask) {
      OCTET_ASSIGN(Tensor mask, new_tensor(DType::boolean, inputs[0]->tensor.shape()));
      std::memset(mask.mutable_raw(), 1, mask.bytes());
      outputs.push_back({std::move(mask), false});
    }
    return outputs;
  });
}

MadeOp make_constant(const OpSource& source) {
  OCTET_ASSIGN(auto value, constant_node_value(source.node));
  return make_function(source, InputOrder::any,
                       [value = std::move(value)](Inputs) { return one_output(value); });
}

MadeOp make_constant_of_shape(const OpSource& source) {
  const auto* attribute = source.node.attribute<Tensor>("value");
  Tensor value = attribute != nullptr ? *attribute : Tensor::zeros(DType::f32, {1});
  if (value.size() != 1) {
    return bad_input("value has shape {}, expected one element", to_string(value.shape()));
  }
  OCTET_ASSIGN(const std::size_t width, element_bytes(value.dtype()));
  return make_function(source, InputOrder::any,
                       [value = std::move(value), width](Inputs inputs) -> Outputs {
                         OCTET_ASSIGN(auto shape, integer_input(*inputs[0], "the shape input"));
                         OCTET_ASSIGN(Tensor out, new_tensor(value.dtype(), std::move(shape)));
                         std::byte* to = out.mutable_raw();
                         for (std::int64_t i = 0; i < out.size(); ++i, to += width) {
                           std::memcpy(to, value.raw(), width);
                         }
                         return one_output(std::move(out));
                       });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Reshape", 2, 1, make_reshape},
    {"Flatten", 1, 1, make_flatten},
    {"Squeeze", 1, 1, make_squeeze},
    {"Unsqueeze", 1, 1, make_unsqueeze},
    {"Shape", 1, 1, make_shape},
    {"Identity", 1, 1, make_identity},
    {"Dropout", 1, 2, make_dropout},
    {"Constant", 0, 1, make_constant},
    {"ConstantOfShape", 1, 1, make_constant_of_shape},
});

}  // namespace

std::span<const OpEntry> shape_entries() { return entries; }

}  // namespace octet::float_engine
