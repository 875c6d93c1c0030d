#include "passes/target.h"
#include "passes/targets/onnxruntime.h"
#include "passes/targets/openvino.h"
#include "passes/targets/tflite.h"
#include "passes/targets/tflite_micro.h"

namespace octet {
namespace {

std::vector<const TargetProfile*> all_targets() {
  return {&onnxruntime_target(), &openvino_target(), &tflite_target(), &tflite_micro_target()};
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

Result<TargetProfile> with_activation_bits(const TargetProfile& target, int bits) {
  TargetProfile profile = target;
  profile.activation.bits = bits;
  if (bits == 8 || (bits < 8 && target.extent != Extent::everywhere)) return profile;
  if (bits != 16 || target.wide_ops.empty()) {
    return fail(ErrorKind::usage,
                "target {} has no activations of {} bits; tflite and tflite-micro have 8 and 16",
                target.name, bits);
  }
  profile.activation.symmetry = Symmetry::symmetric;
  profile.activation_storage = DType::i16;
  profile.ops = target.wide_ops;
  // Of 16 bits a far smaller operand still counts, and no delegate asks for it to be larger.
  for (auto& limits : profile.limits) limits.least = 0;
  return profile;
}

}  // namespace octet
