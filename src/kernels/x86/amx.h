#pragma once
// AMX tile registers (Intel SDM volume 1, chapter "Programming with Intel AMX"): eight of 16 rows
// by 64 bytes.
//
// As assembly, since g++'s intrinsics are macros that spell the register's number and so do not
// work in templates. A thread must have configured its tiles, and should release them at the end.

#include <array>
#include <cstddef>
#include <cstdint>

namespace octet::kernels::amx {

/// Whether the CPU has AMX-INT8 and the operating system lets this process use its registers;
/// the first call asks for that.
[[nodiscard]] bool usable();

/// Operand of LDTILECFG, palette 1: for each register its rows and the bytes of a row.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::array<std::uint8_t, 14> reserved{};
  std::array<std::uint16_t, 16> row_bytes{};
  std::array<std::uint8_t, 16> rows{};
};
static_assert(sizeof(TileConfig) == 64);

inline void configure(const TileConfig& config) { asm volatile("ldtilecfg %0" ::"m"(config)); }
inline void release() { asm volatile("tilerelease"); }

/// Row r of register `tile` from `from` + r * stride bytes.
template <int tile>
inline void load(const void* from, std::int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
}

template <int tile>
inline void store(void* to, std::int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
}

/// sum[m][n] += over k and j of codes[m][4 k + j] (u8) * weights[k][4 n + j] (s8), modulo 2^32.
template <int sum, int codes, int weights>
inline void dot() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(codes), "i"(weights));
}

}  // namespace octet::kernels::amx
