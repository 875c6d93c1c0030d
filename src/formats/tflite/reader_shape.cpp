// Operators that give the same elements another shape.

#include <algorithm>

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"
#include "graph/onnx_dtype.h"

namespace octet::tflite {
namespace {

/// An input whose order only matters where it changes the bytes.
Result<ValueId> flat_input(Translator& to, const FileOperator& op) {
  const auto tensor = op.inputs[0];
  const bool image = to.available(tensor) == Order::image && same_bytes(to.input(op, 0).shape);
  return to.value(tensor, image ? Order::image : Order::file);
}

/// The output is an image whose bytes are those of the file's order.
bool makes_image(const Translator& to, const FileOperator& op) {
  return to.is_image(op.outputs[0]) && same_bytes(to.output(op).shape);
}

/// Where the new shape is stated, if it is constant.
Result<std::optional<std::vector<std::int64_t>>> stated_shape(const Translator& to,
                                                              const FileOperator& op) {
  if (to.has_input(op, 1) && !to.is_constant(op.inputs[1]) &&
      !std::count(to.input(op, 1).shape.begin(), to.input(op, 1).shape.end(), 0)) {
    return std::optional<std::vector<std::int64_t>>();
  }
  if (to.has_input(op, 1)) {
    OCTET_ASSIGN(auto shape, to.integers(op, 1, "new shape"));
    return std::optional(std::move(shape));
  }
  const auto* options = find_options<wire::ReshapeOptions>(op);
  if (options == nullptr || options->new_shape() == nullptr) {
    return bad_input("it does not state the new shape");
  }
  return std::optional(
      std::vector<std::int64_t>(options->new_shape()->begin(), options->new_shape()->end()));
}

Result<ValueId> as_int64(Translator& to, int tensor, const std::string& name) {
  OCTET_ASSIGN(const auto value, to.value(tensor, Order::file));
  if (to.file().tensor(tensor).dtype == DType::i64) return value;
  auto cast = Translator::node("Cast", {value});
  cast.attributes["to"] = onnx_code(DType::i64);
  return to.inner(std::move(cast), to.invent(name), DType::i64);
}

}  // namespace

Status read_reshape(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto x, flat_input(to, op));
  OCTET_ASSIGN(const auto stated, stated_shape(to, op));
  const auto& name = to.output(op).name;
  if (!stated) {
    OCTET_ASSIGN(const auto shape, as_int64(to, op.inputs[1], name + "/shape"));
    return to.finish(op, Translator::node("Reshape", {x, shape}), Order::file);
  }
  const bool image = stated->size() == 4 && makes_image(to, op);
  const auto order = image ? Order::image : Order::file;
  const auto shape = to.integer_list(entries_in(order, *stated), name + "/shape");
  auto node = Translator::node("Reshape", {x, shape});
  const bool has_zero = std::find(stated->begin(), stated->end(), 0) != stated->end();
  if (has_zero) node.attributes["allowzero"] = std::int64_t{1};
  return to.finish(op, std::move(node), order);
}

Status read_squeeze(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::SqueezeOptions>(op);
  const auto& input = to.input(op, 0);
  std::vector<std::int64_t> axes;
  if (options != nullptr && options->squeeze_dims() != nullptr) {
    axes.assign(options->squeeze_dims()->begin(), options->squeeze_dims()->end());
  }
  if (axes.empty()) {
    for (std::size_t i = 0; i < input.shape.size(); ++i) {
      if (input.shape[i] == dynamic_dim) {
        return bad_input("its input {} has dynamic extents and it names no axes", input.name);
      }
      if (input.shape[i] == 1) axes.push_back(static_cast<std::int64_t>(i));
    }
  }
  OCTET_ASSIGN(axes, sorted_axes(std::move(axes), input.shape.size()));
  const auto order = order_without(to, op.inputs[0], axes);
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], order));
  const auto list = to.integer_list(axes_in(order, axes), to.output(op).name + "/axes");
  return to.finish(op, Translator::node("Squeeze", {x, list}), Order::file);
}

Status read_expand_dims(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(auto axes, to.integers(op, 1, "axis"));
  if (axes.size() != 1) return bad_input("it has {} axes", axes.size());
  OCTET_ASSIGN(axes, sorted_axes(std::move(axes), to.input(op, 0).shape.size() + 1));
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  const bool image = to.is_image(op.outputs[0]) && keeps_order(axes);
  const auto order = image ? Order::image : Order::file;
  const auto list = to.integer_list(axes_in(order, axes), to.output(op).name + "/axes");
  return to.finish(op, Translator::node("Unsqueeze", {x, list}), order);
}

Status read_transpose(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(auto perm, to.integers(op, 1, "permutation"));
  const auto rank = to.input(op, 0).shape.size();
  OCTET_ASSIGN(const auto axes, sorted_axes(perm, rank));
  if (perm.size() != rank || axes.size() != rank) {
    return bad_input("its permutation is none of {} axes", rank);
  }
  for (auto& axis : perm) axis = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  auto node = Translator::node("Transpose", {x});
  node.attributes["perm"] = std::move(perm);
  return to.finish(op, std::move(node), Order::file);
}

Status read_pack(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::PackOptions>(op);
  const auto& target = to.output(op);
  const auto rank = to.input(op, 0).shape.size() + 1;
  OCTET_ASSIGN(const auto axis, normalize_axis(options == nullptr ? 0 : options->axis(), rank));
  const auto list = to.integer_list({axis}, target.name + "/axes");
  std::vector<ValueId> parts;
  for (const auto input : op.inputs) {
    OCTET_ASSIGN(const auto value, to.value(input, Order::file));
    parts.push_back(to.inner_like(Translator::node("Unsqueeze", {value, list}),
                                  to.invent(fmt::format("{}/part{}", target.name, parts.size())),
                                  input));
  }
  auto node = Translator::node("Concat", std::move(parts));
  node.attributes["axis"] = std::int64_t{axis};
  return to.finish(op, std::move(node), Order::file);
}

Status read_unpack(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::UnpackOptions>(op);
  const auto& input = to.input(op, 0);
  OCTET_ASSIGN(const auto axis,
               normalize_axis(options == nullptr ? 0 : options->axis(), input.shape.size()));
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  auto split = Translator::node("Split", {x});
  split.attributes["axis"] = std::int64_t{axis};
  split.attributes["num_outputs"] = static_cast<std::int64_t>(op.outputs.size());
  for (const auto output : op.outputs) {
    split.outputs.push_back(
        to.value_like(to.invent(to.file().tensor(output).name + "/part"), op.inputs[0]));
  }
  const auto parts = split.outputs;
  to.add(std::move(split));
  const auto list = to.integer_list({axis}, to.output(op).name + "/axes");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto squeeze = Translator::node("Squeeze", {parts[i], list});
    squeeze.outputs = {to.define(op.outputs[i], Order::file)};
    to.add(std::move(squeeze));
  }
  return {};
}

Status read_shape_of(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::file));
  return finish_as_int64(to, op, Translator::node("Shape", {x}), 0);
}

}  // namespace octet::tflite
