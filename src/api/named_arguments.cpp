#include "api/named_arguments.h"

namespace octet {

Result<std::vector<NamedArgument>> named_arguments(std::span<const std::string> arguments,
                                                   const Graph& graph) {
  std::vector<NamedArgument> named;
  std::size_t next = 0;
  for (const auto& argument : arguments) {
    NamedArgument found{next, argument};
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
      const auto prefix = fmt::format("{}=", graph.value(graph.inputs[i]).name);
      if (argument.starts_with(prefix)) {
        found = {i, std::string_view(argument).substr(prefix.size())};
      }
    }
    if (found.input >= graph.inputs.size()) {
      return fail(ErrorKind::usage, "the model has {} inputs; {} is one too many",
                  graph.inputs.size(), argument);
    }
    next = found.input + 1;
    named.push_back(found);
  }
  return named;
}

}  // namespace octet
