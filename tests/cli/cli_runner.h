#pragma once
// Runs the octet binary the way a user does, and looks at what it leaves behind.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace octet::testing {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

/// Runs `octet ARGUMENTS...`; arguments are quoted for the shell. `prefix` goes before the command
/// ("ulimit -f 1;").
Outcome octet(const std::vector<std::string>& arguments, const std::string& prefix = "");

/// A folder of its own for each test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  [[nodiscard]] std::size_t files() const;

 private:
  std::filesystem::path path_;
};

std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);

/// A file of the bundled example.
std::string digits(const std::string& name);

/// One line on stderr that mentions `what`, the exit code given, nothing on stdout.
void expect_refusal(const Outcome& outcome, int code, const std::string& what);

}  // namespace octet::testing
