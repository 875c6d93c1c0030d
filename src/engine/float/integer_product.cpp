#include "engine/float/integer_product.h"

#include <algorithm>
#include <cmath>

#include "engine/float/parallel_work.h"

namespace octet::float_engine {
namespace {

template <class Code>
void center(const Tensor& codes, const Tensor* zero_point, const ZeroPointOrder& order,
            Tensor& out) {
  const Code* from = codes.data<Code>();
  auto* to = out.mutable_data<std::int16_t>();
  const bool each = zero_point != nullptr && zero_point->size() > 1;
  const int common = zero_point != nullptr && !each ? zero_point->data<Code>()[0] : 0;
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    const int zero = each ? zero_point->data<Code>()[i / order.inner % order.count] : common;
    to[i] = static_cast<std::int16_t>(from[i] - zero);
  }
}

}  // namespace

Result<Tensor> centered(const Tensor& codes, const Tensor* zero_point,
                        const ZeroPointOrder& order) {
  if (codes.dtype() != DType::u8 && codes.dtype() != DType::i8) {
    return bad_input("codes of type {} are not supported, u8 and i8 are", name(codes.dtype()));
  }
  if (zero_point != nullptr) {
    if (zero_point->dtype() != codes.dtype()) {
      return bad_input("codes are {} but zero points {}", name(codes.dtype()),
                       name(zero_point->dtype()));
    }
    if (zero_point->size() != 1 && zero_point->size() != order.count) {
      return bad_input("{} zero points, expected 1 or {}", zero_point->size(), order.count);
    }
  }
  OCTET_ASSIGN(Tensor out, new_tensor(DType::i16, codes.shape()));
  if (codes.dtype() == DType::u8) {
    center<std::uint8_t>(codes, zero_point, order, out);
  } else {
    center<std::int8_t>(codes, zero_point, order, out);
  }
  return out;
}

void integer_product(const std::int16_t* a, const std::int16_t* b, std::int64_t m, std::int64_t n,
                     std::int64_t k, std::int32_t* c) {
  parallel_work(m, n * k * m, [&](std::int64_t row) {
    std::int32_t* sums = c + row * n;
    std::fill_n(sums, n, 0);
    for (std::int64_t i = 0; i < k; ++i) {
      const int factor = a[row * k + i];
      if (factor == 0) continue;
      const std::int16_t* other = b + i * n;
      for (std::int64_t j = 0; j < n; ++j) {
        // Unsigned, so that a sum of very many terms wraps around as in any runtime.
        sums[j] = static_cast<std::int32_t>(static_cast<std::uint32_t>(sums[j]) +
                                            static_cast<std::uint32_t>(factor * other[j]));
      }
    }
  });
}

Status check_scale(const Tensor& scale, std::string_view what) {
  OCTET_TRY(require_f32(scale, what));
  for (const float s : scale.values<float>()) {
    if (!(s > 0) || !std::isfinite(s))
      return bad_input("{} {} is not finite and positive", what, s);
  }
  return {};
}

Result<RequantizationTarget> requantization_target(const Tensor& scale, const Tensor& zero_point) {
  OCTET_TRY(check_scale(scale, "the output's scale"));
  if (scale.size() != 1 || zero_point.size() != 1) {
    return bad_input("the output has {} scales and {} zero points, expected one", scale.size(),
                     zero_point.size());
  }
  RequantizationTarget target;
  target.scale = scale.data<float>()[0];
  if (zero_point.dtype() == DType::u8) {
    target.zero_point = zero_point.data<std::uint8_t>()[0];
    return target;
  }
  if (zero_point.dtype() != DType::i8) {
    return bad_input("output codes of type {} are not supported", name(zero_point.dtype()));
  }
  target.zero_point = zero_point.data<std::int8_t>()[0];
  target.low = -128;
  target.high = 127;
  return target;
}

}  // namespace octet::float_engine
