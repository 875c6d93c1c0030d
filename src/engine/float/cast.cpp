// Cast.

#include <array>

#include "engine/float/convert.h"
#include "engine/float/ops.h"
#include "graph/onnx_dtype.h"

namespace octet::float_engine {
namespace {

/// Calls fn with a null pointer of the element type; false for types without numbers.
template <class Fn>
bool with_type(DType dtype, Fn fn) {
  switch (dtype) {
    case DType::f32: fn(static_cast<float*>(nullptr)); return true;
    case DType::f64: fn(static_cast<double*>(nullptr)); return true;
    case DType::f16: fn(static_cast<Half*>(nullptr)); return true;
    case DType::bf16: fn(static_cast<Brain*>(nullptr)); return true;
    case DType::i8: fn(static_cast<std::int8_t*>(nullptr)); return true;
    case DType::u8: fn(static_cast<std::uint8_t*>(nullptr)); return true;
    case DType::i16: fn(static_cast<std::int16_t*>(nullptr)); return true;
    case DType::u16: fn(static_cast<std::uint16_t*>(nullptr)); return true;
    case DType::i32: fn(static_cast<std::int32_t*>(nullptr)); return true;
    case DType::u32: fn(static_cast<std::uint32_t*>(nullptr)); return true;
    case DType::i64: fn(static_cast<std::int64_t*>(nullptr)); return true;
    case DType::u64: fn(static_cast<std::uint64_t*>(nullptr)); return true;
    case DType::boolean: fn(static_cast<BoolByte*>(nullptr)); return true;
    default: return false;
  }
}

Outputs run_cast(const Activation& input, DType to) {
  if (input.tensor.dtype() == to) return one_output(input.tensor, input.channels_last);
  const Tensor x = to_plain(input).tensor;
  OCTET_ASSIGN(Tensor out, new_tensor(to, x.shape()));
  const bool known = with_type(x.dtype(), [&]<class From>(From*) {
    with_type(to, [&]<class To>(To*) {
      const From* from = x.data<From>();
      To* result = out.mutable_data<To>();
      for (std::int64_t i = 0; i < x.size(); ++i) result[i] = convert<To>(from[i]);
    });
  });
  if (!known) return bad_input("elements of type {} are not supported", name(x.dtype()));
  return one_output(std::move(out));
}

MadeOp make_cast(const OpSource& source) {
  const std::int64_t code = source.node.int_attribute("to", 0);
  const DType to = dtype_from_onnx(code);
  if (!with_type(to, [](auto*) {})) {
    if (to == DType::string) return bad_input("a cast to strings is not supported");
    return bad_input("type number {} is not supported", code);
  }
  return make_function(source, InputOrder::any,
                       [to](Inputs inputs) { return run_cast(*inputs[0], to); });
}

constexpr auto entries = std::to_array<OpEntry>({{"Cast", 1, 1, make_cast}});

}  // namespace

std::span<const OpEntry> cast_entries() { return entries; }

}  // namespace octet::float_engine
