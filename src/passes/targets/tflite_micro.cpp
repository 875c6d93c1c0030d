#include "passes/targets/tflite_micro.h"

#include "passes/targets/tflite.h"

namespace octet {

// Target tflite with one scale for the weights of FULLY_CONNECTED, as the specification has it.
// TFLite-Micro's kernels and CMSIS-NN's requantize like LiteRT's reference kernels. Of GELU, EXP
// and TILE its resolver has no integer form; no other operators would serve instead of them.
const TargetProfile& tflite_micro_target() {
  static const TargetProfile profile = [] {
    TargetProfile micro = tflite_target();
    micro.name = "tflite-micro";
    micro.doubtful = {"Gelu", "Exp", "Tile"};
    micro.rule = Rule::tflite;
    micro.micro = true;
    micro.gemm_weight = Granularity::per_tensor;
    return micro;
  }();
  return profile;
}

}  // namespace octet
