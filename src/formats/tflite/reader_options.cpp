#include "formats/tflite/reader_options.h"

#include <algorithm>

#include "graph/onnx_dtype.h"

namespace octet::tflite {

bool is_hybrid(const Translator& to, const FileOperator& op, std::size_t input,
               std::size_t weight) {
  return to.input(op, input).dtype == DType::f32 && to.input(op, weight).is_coded();
}

Status finish_with_weights(Translator& to, const FileOperator& op, Node node, Order order,
                           wire::ActivationFunctionType activation, bool hybrid) {
  const auto id = to.next_node();
  OCTET_TRY(to.finish(op, std::move(node), order, activation));
  if (hybrid) to.plan().overrides[{id, 0}] = dynamic_quantization();
  return {};
}

Status finish_as_int64(Translator& to, const FileOperator& op, Node node, std::size_t slot) {
  const auto& target = to.output(op, slot);
  for (std::size_t i = 0; i < slot; ++i) {
    node.outputs.push_back(to.define(op.outputs[i], Order::file));
  }
  if (target.dtype == DType::i64) {
    node.outputs.push_back(to.define(op.outputs[slot], Order::file));
    to.add(std::move(node));
    return {};
  }
  const auto wide = to.plain_value(to.invent(target.name + "/i64"), DType::i64);
  node.outputs.push_back(wide);
  to.add(std::move(node));
  auto cast = Translator::node("Cast", {wide});
  cast.attributes["to"] = onnx_code(target.dtype);
  cast.outputs = {to.define(op.outputs[slot], Order::file)};
  to.add(std::move(cast));
  return {};
}

Result<std::vector<std::int64_t>> sorted_axes(std::vector<std::int64_t> axes, std::size_t rank) {
  for (auto& axis : axes) {
    OCTET_ASSIGN(const auto normal, normalize_axis(axis, rank));
    axis = normal;
  }
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  return axes;
}

std::vector<std::int64_t> axes_in(Order order, std::vector<std::int64_t> axes) {
  if (order == Order::file) return axes;
  for (auto& axis : axes) axis = image_axis[static_cast<std::size_t>(axis)];
  std::sort(axes.begin(), axes.end());
  return axes;
}

std::vector<std::int64_t> entries_in(Order order, const std::vector<std::int64_t>& entries) {
  if (order == Order::file || entries.size() != 4) return entries;
  return {entries[0], entries[3], entries[1], entries[2]};
}

Order order_without(const Translator& to, int tensor, const std::vector<std::int64_t>& removed) {
  const bool image = to.available(tensor) == Order::image && keeps_order(removed);
  return image ? Order::image : Order::file;
}

}  // namespace octet::tflite
