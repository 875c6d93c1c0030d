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
if(OCTET_FUZZ)
  target_compile_options(octet_compiler INTERFACE -fsanitize=fuzzer-no-link)
endif()
