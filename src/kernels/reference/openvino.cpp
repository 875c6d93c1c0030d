#include "kernels/openvino.h"

#include "kernels/conv.h"
#include "kernels/x86/isa.h"

namespace octet::kernels::openvino {
namespace {

// The same loops are compiled twice on x86-64: for AVX2 the compiler makes vectors of them, and
// std::fma is one instruction rather than a call.

[[gnu::always_inline]] inline void quantize_loop(CodeLine p, const float* input,
                                                 std::uint8_t* output, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    output[i] =
        static_cast<std::uint8_t>(octet::openvino::quantize(input[i], p.line, p.low, p.high));
  }
}

[[gnu::always_inline]] inline void add_codes_loop(SumParams p, const std::uint8_t* moved,
                                                  std::int64_t moved_step, const std::uint8_t* kept,
                                                  std::int64_t kept_step, std::uint8_t* output,
                                                  std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t code = moved[i * moved_step];
    const float x = p.own_code ? moved_own_code(p.sum, code) : moved_code(p.sum, code);
    output[i] = static_cast<std::uint8_t>(add(p.sum, x, kept[i * kept_step], p.low, p.high));
  }
}

[[gnu::always_inline]] inline void add_reals_loop(SumParams p, const float* moved,
                                                  std::int64_t moved_step, const std::uint8_t* kept,
                                                  std::int64_t kept_step, std::uint8_t* output,
                                                  std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float x = moved_real(p.sum, moved[i * moved_step]);
    output[i] = static_cast<std::uint8_t>(add(p.sum, x, kept[i * kept_step], p.low, p.high));
  }
}

#if defined(__x86_64__)
bool has_avx2() { return default_isa() != Isa::reference; }

OCTET_AVX2 void quantize_avx2(const CodeLine& params, const float* input, std::uint8_t* output,
                              std::int64_t count) {
  quantize_loop(params, input, output, count);
}
OCTET_AVX2 void add_codes_avx2(const SumParams& params, const std::uint8_t* moved,
                               const std::uint8_t* kept, std::uint8_t* output, std::int64_t count) {
  add_codes_loop(params, moved, 1, kept, 1, output, count);
}
OCTET_AVX2 void add_reals_avx2(const SumParams& params, const float* moved,
                               const std::uint8_t* kept, std::uint8_t* output, std::int64_t count) {
  add_reals_loop(params, moved, 1, kept, 1, output, count);
}
#endif

}  // namespace

void quantize_codes(const CodeLine& params, const float* input, std::uint8_t* output,
                    std::int64_t count) {
#if defined(__x86_64__)
  if (has_avx2()) return quantize_avx2(params, input, output, count);
#endif
  quantize_loop(params, input, output, count);
}

void add_codes(const SumParams& params, const std::uint8_t* moved, std::int64_t moved_step,
               const std::uint8_t* kept, std::int64_t kept_step, std::uint8_t* output,
               std::int64_t count) {
#if defined(__x86_64__)
  if (has_avx2() && moved_step == 1 && kept_step == 1) {
    return add_codes_avx2(params, moved, kept, output, count);
  }
#endif
  add_codes_loop(params, moved, moved_step, kept, kept_step, output, count);
}

void add_reals(const SumParams& params, const float* moved, std::int64_t moved_step,
               const std::uint8_t* kept, std::int64_t kept_step, std::uint8_t* output,
               std::int64_t count) {
#if defined(__x86_64__)
  if (has_avx2() && moved_step == 1 && kept_step == 1) {
    return add_reals_avx2(params, moved, kept, output, count);
  }
#endif
  add_reals_loop(params, moved, moved_step, kept, kept_step, output, count);
}

}  // namespace octet::kernels::openvino
