#include "passes/targets/tflite_micro.h"

#include <algorithm>
#include <array>

#include "passes/targets/tflite.h"

namespace octet {
namespace {

std::vector<IntegerOp> without(std::vector<IntegerOp> ops,
                               std::initializer_list<std::string_view> names) {
  std::erase_if(ops, [&](const IntegerOp& entry) {
    return std::find(names.begin(), names.end(), entry.op) != names.end();
  });
  return ops;
}

}  // namespace

// Target tflite without the operators that TFLite-Micro's resolver lacks, or has for floats only;
// FULLY_CONNECTED with one weight scale, as the specification has it. Its kernels and CMSIS-NN's
// requantize like LiteRT's reference kernels.
const TargetProfile& tflite_micro_target() {
  static const TargetProfile profile = [] {
    TargetProfile micro = tflite_target();
    micro.name = "tflite-micro";
    micro.ops = without(micro.ops, {"Gelu", "Exp", "Tile"});
    micro.wide_ops = without(micro.wide_ops, {"Gelu", "Exp", "Tile", "PRelu"});
    micro.rule = Rule::tflite;
    micro.gemm_weight = Granularity::per_tensor;
    return micro;
  }();
  return profile;
}

}  // namespace octet
