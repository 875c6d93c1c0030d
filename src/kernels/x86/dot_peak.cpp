#include "kernels/dot_peak.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__)
#include "kernels/x86/amx.h"
#include "kernels/x86/avx512.h"
#endif

namespace octet::kernels {

#if defined(__x86_64__)
namespace {

constexpr int repeats = 2000;
constexpr int runs = 40;
/// Sums in flight: more than latency times throughput of any of the instructions.
constexpr int sums = 12;

/// Most operations per nanosecond over the runs of `loop`.
template <class Loop>
double best_rate(double operations, const Loop& loop) {
  double best = 0;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    loop();
    const std::chrono::duration<double, std::nano> elapsed =
        std::chrono::steady_clock::now() - start;
    if (elapsed.count() > 0) best = std::max(best, operations / elapsed.count());
  }
  return best;
}

// The instructions as volatile assembly, so that none of them is found to be without use.

OCTET_AVX2 void multiply_avx2() {
  __m256i sum[sums] = {};
  const __m256i one = _mm256_set1_epi16(1);
  for (int i = 0; i < repeats; ++i) {
    OCTET_UNROLL
    for (auto& s : sum) {
      __m256i products;
      asm volatile("vpmaddwd %1, %1, %0" : "=x"(products) : "x"(one));
      asm volatile("vpaddd %1, %0, %0" : "+x"(s) : "x"(products));
    }
  }
}

OCTET_AVX2 void multiply_avxvnni() {
  __m256i sum[sums] = {};
  const __m256i one = _mm256_set1_epi8(1);
  for (int i = 0; i < repeats; ++i) {
    OCTET_UNROLL
    for (auto& s : sum) asm volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(s) : "x"(one));
  }
}

OCTET_AVX512VNNI void multiply_avx512vnni() {
  __m512i sum[sums] = {};
  const __m512i one = _mm512_set1_epi8(1);
  for (int i = 0; i < repeats; ++i) {
    OCTET_UNROLL
    for (auto& s : sum) asm volatile("vpdpbusd %1, %1, %0" : "+v"(s) : "v"(one));
  }
}

void multiply_amx() {
  amx::TileConfig config;
  for (std::size_t t = 0; t < 8; ++t) {
    config.rows[t] = 16;
    config.row_bytes[t] = 64;
  }
  amx::configure(config);
  for (int i = 0; i < repeats; ++i) {
    amx::dot<0, 4, 6>();
    amx::dot<1, 4, 7>();
    amx::dot<2, 5, 6>();
    amx::dot<3, 5, 7>();
  }
  amx::release();
}

OCTET_AVX2 void multiply_floats_avx2() {
  __m256 sum[sums] = {};
  const __m256 one = _mm256_set1_ps(1);
  for (int i = 0; i < repeats; ++i) {
    OCTET_UNROLL
    for (auto& s : sum) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(s) : "x"(one));
  }
}

OCTET_AVX512VNNI void multiply_floats_avx512() {
  __m512 sum[sums] = {};
  const __m512 one = _mm512_set1_ps(1);
  for (int i = 0; i < repeats; ++i) {
    OCTET_UNROLL
    for (auto& s : sum) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(s) : "v"(one));
  }
}

constexpr double instructions = static_cast<double>(repeats) * sums;

}  // namespace

double dot_peak(Isa isa) {
  if (!isa_available(isa)) return 0;
  switch (isa) {
    case Isa::reference: return 0;
    case Isa::avx2: return best_rate(instructions * 16, multiply_avx2);
    case Isa::avxvnni: return best_rate(instructions * 32, multiply_avxvnni);
    case Isa::avx512vnni: return best_rate(instructions * 64, multiply_avx512vnni);
    case Isa::amx: return best_rate(repeats * 4.0 * 16 * 16 * 64, multiply_amx);
  }
  return 0;
}

double float_dot_peak() {
  if (isa_available(Isa::avx512vnni)) return best_rate(instructions * 16, multiply_floats_avx512);
  if (isa_available(Isa::avx2)) return best_rate(instructions * 8, multiply_floats_avx2);
  return 0;
}

#else

double dot_peak(Isa /*isa*/) { return 0; }
double float_dot_peak() { return 0; }

#endif

}  // namespace octet::kernels
