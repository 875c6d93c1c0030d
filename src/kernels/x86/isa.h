#pragma once
// Function-level instruction sets: the build itself stays plain x86-64, the kernel table asks the
// CPU before it calls anything marked with these.

#define OCTET_AVX512VNNI \
  __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define OCTET_AVX2 __attribute__((target("avx2,fma")))

// Before a loop over registers: an array of accumulators stays in registers only where the
// compiler has unrolled every index away.
#if defined(__clang__)
#define OCTET_UNROLL _Pragma("unroll")
#else
#define OCTET_UNROLL _Pragma("GCC unroll 16")
#endif
