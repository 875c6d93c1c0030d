#if defined(__x86_64__)

#include "kernels/x86/amx.h"

#if defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace octet::kernels::amx {
namespace {

#if defined(__linux__)

constexpr unsigned amx_tile_and_int8 = (1U << 24) | (1U << 25);  // CPUID.(7,0):EDX
constexpr unsigned osxsave = 1U << 27;                           // CPUID.1:ECX
constexpr unsigned tile_state = 3U << 17;                        // XCR0: XTILECFG, XTILEDATA

bool cpu_has_it() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & osxsave) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & amx_tile_and_int8) != amx_tile_and_int8) return false;
  unsigned low = 0;
  unsigned high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & tile_state) == tile_state;
}

/// Linux gives the registers' state only to processes that ask (Documentation/arch/x86/xstate.rst).
bool permitted() {
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

bool detect() { return cpu_has_it() && permitted(); }

#else

bool detect() { return false; }

#endif

}  // namespace

bool usable() {
  static const bool answer = detect();
  return answer;
}

}  // namespace octet::kernels::amx

#endif
