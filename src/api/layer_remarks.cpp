#include "api/layer_remarks.h"

#include <fmt/format.h>

#include <map>
#include <string_view>

namespace octet {

void add_remarks(std::span<const LayerTime> floats, std::vector<LayerTime>& layers) {
  std::map<std::string_view, double> float_ms;
  for (const auto& layer : floats) {
    if (layer.macs > 0) float_ms.emplace(layer.name, layer.ms);
  }
  for (auto& layer : layers) {
    if (layer.macs == 0) continue;
    if (layer.kernel.starts_with("float")) {
      layer.remark = "runs in f32";
      continue;
    }
    const auto known = float_ms.find(layer.name);
    if (known == float_ms.end() || layer.ms < known->second) continue;
    layer.remark = fmt::format("int8 does not pay: f32 takes {:.4f} ms", known->second);
  }
}

}  // namespace octet
