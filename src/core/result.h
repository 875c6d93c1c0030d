#pragma once
// Helpers for Result<T>, the type of every function that a user's file, option or data can make
// fail. Exceptions are left to programming errors and exhausted memory.

#include <fmt/format.h>

#include <utility>

#include "octet/result.h"

namespace octet {

template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(Error{kind, fmt::format(format, std::forward<Args>(args)...)});
}

/// Shorthand for the commonest kind: the input is unusable.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> bad_input(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::bad_input, format, std::forward<Args>(args)...);
}

template <class... Args>
[[nodiscard]] tl::unexpected<Error> internal_error(fmt::format_string<Args...> format,
                                                   Args&&... args) {
  return fail(ErrorKind::internal, format, std::forward<Args>(args)...);
}

}  // namespace octet

#define OCTET_JOIN_(a, b) a##b
#define OCTET_JOIN(a, b) OCTET_JOIN_(a, b)

/// Returns the error of `expr` (a Status or Result) from the enclosing function, if there is one.
#define OCTET_TRY(expr)                                       \
  do {                                                        \
    if (auto octet_status = (expr); !octet_status) {          \
      return tl::unexpected(std::move(octet_status).error()); \
    }                                                         \
  } while (false)

/// `OCTET_ASSIGN(auto x, f())`: binds the value of a Result, or returns its error.
#define OCTET_ASSIGN(target, expr) OCTET_ASSIGN_(target, expr, OCTET_JOIN(octet_result_, __LINE__))
#define OCTET_ASSIGN_(target, expr, result)                      \
  auto result = (expr);                                          \
  if (!result) return tl::unexpected(std::move(result).error()); \
  target = std::move(result).value()
