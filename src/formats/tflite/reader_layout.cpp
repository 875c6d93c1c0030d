#include "formats/tflite/reader_layout.h"

#include <algorithm>

#include "formats/tflite/disjoint_sets.h"
#include "formats/tflite/reader_operators.h"

namespace octet::tflite {
namespace {

/// Activations of rank 4 that an operator reads and makes.
std::vector<std::size_t> candidates(const FileModel& model, const FileOperator& op) {
  std::vector<std::size_t> found;
  for (const auto* list : {&op.inputs, &op.outputs}) {
    for (const auto number : *list) {
      if (number < 0) continue;
      const auto& tensor = model.tensor(number);
      if (tensor.rank() == 4 && !tensor.is_constant) {
        found.push_back(static_cast<std::size_t>(number));
      }
    }
  }
  return found;
}

}  // namespace

std::vector<bool> find_images(const FileModel& model) {
  DisjointSets sets(model.tensors.size());
  std::vector<std::size_t> seeds;
  for (const auto& op : model.operators) {
    const auto kind = layout_of(model, op);
    if (kind.image_input >= 0) {
      const auto input = op.inputs[static_cast<std::size_t>(kind.image_input)];
      if (input >= 0 && model.tensor(input).rank() == 4) {
        seeds.push_back(static_cast<std::size_t>(input));
      }
      const auto output = op.outputs[0];
      if (model.tensor(output).rank() == 4) seeds.push_back(static_cast<std::size_t>(output));
    }
    if (!kind.follows) continue;
    const auto together = candidates(model, op);
    for (const auto number : together) sets.join(number, together[0]);
  }
  std::vector<bool> is_seed(model.tensors.size());
  for (const auto seed : seeds) is_seed[sets.find(seed)] = true;
  std::vector<bool> images(model.tensors.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto& tensor = model.tensors[i];
    images[i] = tensor.rank() == 4 && !tensor.is_constant && is_seed[sets.find(i)];
  }
  return images;
}

Shape image_shape(const Shape& shape) { return {shape[0], shape[3], shape[1], shape[2]}; }

bool same_bytes(const Shape& shape) {
  return shape.size() == 4 && (shape[3] == 1 || (shape[1] == 1 && shape[2] == 1));
}

bool keeps_order(const std::vector<std::int64_t>& removed) {
  std::int64_t last = -1;
  for (std::int64_t axis = 0; axis < 4; ++axis) {
    if (std::find(removed.begin(), removed.end(), axis) != removed.end()) continue;
    const auto mapped = image_axis[static_cast<std::size_t>(axis)];
    if (mapped < last) return false;
    last = mapped;
  }
  return true;
}

}  // namespace octet::tflite
