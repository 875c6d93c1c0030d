#pragma once
// Expected failures travel as values: every function that a user's file, option or data can make
// fail returns Result<T>. Exceptions are left to programming errors and exhausted memory.

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace octet {

/// What kind of failure it was; the command line maps each to an exit code.
enum class ErrorKind {
  usage,      ///< the request itself is wrong (options that contradict, unknown name)
  bad_input,  ///< a file, model, data set or output path is unusable
  cancelled,  ///< the user interrupted the work
  internal,   ///< a broken invariant: a bug in octet
};

/// One line that names what failed and where (file, byte, node), and what to do about it.
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;

  /// The same error with `context: ` put before the message.
  [[nodiscard]] Error with_context(std::string_view context) const {
    return {kind, fmt::format("{}: {}", context, message)};
  }
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

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
