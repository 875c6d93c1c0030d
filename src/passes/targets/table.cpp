#include "passes/target.h"
#include "passes/targets/onnxruntime.h"
#include "passes/targets/openvino.h"

namespace octet {
namespace {

std::vector<const TargetProfile*> all_targets() {
  return {&onnxruntime_target(), &openvino_target()};
}

}  // namespace

const TargetProfile* find_target(std::string_view name) {
  for (const auto* target : all_targets()) {
    if (target->name == name) return target;
  }
  return nullptr;
}

std::vector<std::string_view> target_names() {
  std::vector<std::string_view> names;
  for (const auto* target : all_targets()) names.push_back(target->name);
  return names;
}

}  // namespace octet
