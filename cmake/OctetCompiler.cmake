# Warnings, sanitizers and reproducible floating point, as one interface target.

add_library(octet_compiler INTERFACE)
target_compile_options(octet_compiler INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Werror
  # Results must not depend on the compiler's choice to fuse a multiply and an add.
  -ffp-contract=off)
if(OCTET_SANITIZE)
  target_compile_options(octet_compiler INTERFACE
    -fsanitize=${OCTET_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(octet_compiler INTERFACE -fsanitize=${OCTET_SANITIZE})
endif()

# What is optimized even under sanitizers: loops over tensors, which otherwise take longer to run than to optimize.
add_library(octet_loops INTERFACE)
target_compile_options(octet_loops INTERFACE $<$<CONFIG:Sanitize>:-O1>)

# Where fuzzers look for new paths: in what reads files of others, with the comparisons it makes, and in the operators.
add_library(octet_fuzzed INTERFACE)
add_library(octet_fuzzed_loops INTERFACE)
if(OCTET_FUZZ)
  target_compile_options(octet_fuzzed INTERFACE -fsanitize=fuzzer-no-link)
  target_compile_options(octet_fuzzed_loops INTERFACE -fsanitize-coverage=inline-8bit-counters,pc-table)
endif()

# Headers that most sources of a target include, parsed once. -fpch-preprocess and -fno-pch-timestamp let ccache, with the
# settings below, see through them; what clang precompiled names files by their full paths, so that another folder makes its own.
function(octet_precompile target)
  target_precompile_headers(${target} ${ARGN})
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>
    "$<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endfunction()
if(CMAKE_CXX_COMPILER_LAUNCHER STREQUAL "ccache")
  set(ccache_settings CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_DEPEND=1)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    list(APPEND ccache_settings CCACHE_HASHDIR=1)
  endif()
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env ${ccache_settings} ccache)
endif()
