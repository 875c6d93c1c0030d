#include "cli/cli_runner.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace octet::testing {
namespace {

std::string quoted(const std::string& text) {
  std::string out(1, '\'');
  for (const char c : text) {
    if (c == '\'') out += "'\\'";
    out += c;
  }
  out += '\'';
  return out;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "octet-test-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::size_t TemporaryFolder::files() const {
  const auto begin = std::filesystem::directory_iterator(path_);
  return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator{}));
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

Outcome octet(const std::vector<std::string>& arguments, const std::string& prefix) {
  const TemporaryFolder folder;
  std::string command = fmt::format("{} {}", prefix, quoted(OCTET_BINARY));
  for (const auto& argument : arguments) command += fmt::format(" {}", quoted(argument));
  command += fmt::format(" >{} 2>{}", quoted(folder / "out"), quoted(folder / "err"));
  const int status = std::system(command.c_str());
  Outcome outcome;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = read_text(folder / "out");
  outcome.err = read_text(folder / "err");
  return outcome;
}

std::string digits(const std::string& name) {
  return std::string(OCTET_SOURCE_DIR "/examples/digits/") + name;
}

void expect_refusal(const Outcome& outcome, int code, const std::string& what) {
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(what), std::string::npos)
      << "stderr should mention '" << what << "': " << outcome.err;
}

}  // namespace octet::testing
