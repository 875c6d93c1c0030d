#pragma once
// Expected failures travel as values: everything that a file, an option or data can make fail
// returns a Result.

#include <string>
#include <string_view>
#include <tl/expected.hpp>

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
    return {kind, std::string(context) + ": " + message};
  }
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

}  // namespace octet
