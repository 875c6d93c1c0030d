#include <algorithm>
#include <cstdlib>
#include <optional>

#include "core/log.h"
#include "kernels/conv.h"
#include "kernels/reference/reference_conv.h"
#include "kernels/x86/x86_kernels.h"
#if defined(__x86_64__)
#include <cpuid.h>

#include "kernels/x86/amx.h"
#endif

namespace octet::kernels {
namespace {

std::vector<ConvKernel> build_table() {
  std::vector<ConvKernel> table;
#if defined(__x86_64__)
  const auto x86 = x86_conv_kernels();
  table.assign(x86.begin(), x86.end());
#endif
  table.push_back(reference_conv_kernel());
  return table;
}

#if defined(__x86_64__)
/// CPUID.(7,1):EAX[4]; the operating system keeps the registers for AVX2 already.
bool has_avxvnni() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1U << 4)) != 0;
}
#endif

Isa best_available() {
  Isa best = Isa::reference;
  for (const auto isa : all_isas) {
    if (isa_available(isa)) best = isa;
  }
  return best;
}

Isa detect() {
  const Isa best = best_available();
  const char* wanted = std::getenv("OCTET_KERNELS");
  if (wanted == nullptr || *wanted == '\0') return best;
  const auto isa = isa_from_name(wanted);
  if (!isa) {
    log_warning("OCTET_KERNELS={} is not reference, avx2, avxvnni, avx512vnni or amx; using {}",
                wanted, name(best));
    return best;
  }
  if (!isa_available(*isa)) {
    log_warning("OCTET_KERNELS={} is not available on this CPU; using {}", wanted, name(best));
  }
  return std::min(*isa, best);
}

}  // namespace

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::reference: return "reference";
    case Isa::avx2: return "avx2";
    case Isa::avxvnni: return "avxvnni";
    case Isa::avx512vnni: return "avx512vnni";
    case Isa::amx: return "amx";
  }
  return "reference";
}

std::optional<Isa> isa_from_name(std::string_view text) {
  for (const auto isa : all_isas) {
    if (name(isa) == text) return isa;
  }
  return std::nullopt;
}

Isa isa_of(std::string_view kernel) {
  const auto at = kernel.rfind("__");
  if (at == std::string_view::npos) return Isa::reference;
  const auto suffix = kernel.substr(at + 2);
  return isa_from_name(suffix.substr(0, suffix.find(' '))).value_or(Isa::reference);
}

bool isa_available(Isa isa) {
  switch (isa) {
    case Isa::reference: return true;
#if defined(__x86_64__)
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    case Isa::avxvnni: return isa_available(Isa::avx2) && has_avxvnni();
    case Isa::avx512vnni:
      return isa_available(Isa::avx2) && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
             __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
    case Isa::amx: return isa_available(Isa::avx512vnni) && amx::usable();
#else
    case Isa::avx2:
    case Isa::avxvnni:
    case Isa::avx512vnni:
    case Isa::amx: return false;
#endif
  }
  return false;
}

Isa default_isa() {
  static const Isa isa = detect();
  return isa;
}

std::span<const ConvKernel> conv_kernels() {
  static const std::vector<ConvKernel> table = build_table();
  return table;
}

std::unique_ptr<Conv> make_conv(const ConvParams& params, Isa isa) {
  for (const auto& kernel : conv_kernels()) {
    if (kernel.isa > isa || !isa_available(kernel.isa) || !kernel.accepts(params)) continue;
    return kernel.make(params);
  }
  return reference_conv_kernel().make(params);
}

}  // namespace octet::kernels
