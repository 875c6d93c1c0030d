#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <new>

#include "cli/context.h"

namespace {

void on_interrupt(int) {
  octet::request_cancel();
  // A second Ctrl-C ends the program at once.
  std::signal(SIGINT, SIG_DFL);
}

int run(int argc, char** argv) {
  using namespace octet::cli;
  CLI::App app{
      "octet makes a small, fast integer model of a trained float model, and shows what it cost"};
  app.name("octet");
  app.set_version_flag("--version", std::string(octet::version()));
  app.require_subcommand(1);
  Context context;
  add_inspect(app, context);
  add_quantize(app, context);
  add_convert(app, context);
  add_calibrate(app, context);
  add_eval(app, context);
  add_compare(app, context);
  add_run(app, context);
  add_bench(app, context);
  add_train(app, context);
  add_tune(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    const bool unknown = argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty();
    const auto what = unknown ? fmt::format("no command '{}'", argv[1]) : error.what();
    fmt::print(stderr, "octet: {} (octet --help lists commands and options)\n", one_line(what));
    return exit_usage;
  }
  octet::set_thread_count(context.threads);
  if (!context.quiet) {
    octet::set_log_sink([](octet::LogLevel level, std::string_view line) {
      fmt::print(stderr, "{}{}\n", level == octet::LogLevel::warning ? "warning: " : "",
                 one_line(line));
    });
  }
  const int code = context.action();
  if (std::fflush(stdout) != 0) {
    fmt::print(stderr, "octet: cannot write to standard output\n");
    return exit_bad_input;
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  // Beyond a limit of file sizes writing fails, and says so, as on a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("octet: out of memory\n", stderr);
  } catch (const std::exception& error) {
    fmt::print(stderr, "octet: internal error: {}\n", error.what());
  }
  return octet::cli::exit_internal;
}
