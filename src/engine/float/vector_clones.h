#pragma once
// How the vector loops are compiled: one version for each instruction set, picked when the program
// loads. Every version computes the same bits: no reassociation, no fused multiply-add.

// ThreadSanitizer starts after the dynamic linker picks a version, too late for its own hooks.
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_THREAD__)
#define OCTET_VECTOR_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define OCTET_VECTOR_CLONES
#endif
#define OCTET_INLINE inline __attribute__((always_inline))
