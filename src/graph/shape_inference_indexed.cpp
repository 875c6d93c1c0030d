// Shape rules of operators that read or write at positions given by a tensor.

#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

/// GatherElements and ScatterElements: indices of the data's rank.
Status check_indices(const Context& context) {
  const auto* data = context.shape(0);
  const auto* indices = context.shape(1);
  if (data == nullptr) return {};
  OCTET_ASSIGN(const auto axis,
               normalize_axis(context.node().int_attribute("axis", 0), data->size()));
  if (indices == nullptr) return {};
  if (indices->size() != data->size()) {
    return bad_input("{} and {} differ in rank", text(*data), text(*indices));
  }
  const auto wanted = context.known_integers(1);
  const auto extent = (*data)[static_cast<std::size_t>(axis)];
  if (!wanted || extent < 0) return {};
  for (const auto i : *wanted) {
    if (i < -extent || i >= extent) {
      return bad_input("index {} is outside the extent {} of axis {}", i, extent, axis);
    }
  }
  return {};
}

/// Dimensions that one row of the indices of GatherND or ScatterND fixes, or dynamic_dim.
Result<std::int64_t> indexed_dimensions(const Shape& data, const Shape& indices,
                                        std::size_t batch) {
  if (data.empty() || indices.empty()) return bad_input("data and indices must not be scalars");
  const auto count = indices.back();
  if (count < 0) return dynamic_dim;
  if (count < 1 || static_cast<std::uint64_t>(count) + batch > data.size()) {
    return bad_input("the indices {} have {} coordinates for {}", text(indices), count, text(data));
  }
  return count;
}

}  // namespace

Status gather_elements(Context& context) {
  OCTET_TRY(check_indices(context));
  context.set(0, context.dtype(0), input_shape(context, 1));
  return {};
}

Status gather_nd(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* data = context.shape(0);
  const auto* indices = context.shape(1);
  if (data == nullptr || indices == nullptr) return {};
  const auto given = context.node().int_attribute("batch_dims", 0);
  const auto smaller = static_cast<std::int64_t>(std::min(data->size(), indices->size()));
  if (given < 0 || (given > 0 && given >= smaller)) {
    return bad_input("batch_dims {} is out of range", given);
  }
  const auto batch = static_cast<std::size_t>(given);
  for (std::size_t i = 0; i < batch; ++i) {
    if (differ((*data)[i], (*indices)[i])) {
      return bad_input("{} and {} differ in a batch dimension", text(*data), text(*indices));
    }
  }
  OCTET_ASSIGN(const auto count, indexed_dimensions(*data, *indices, batch));
  if (count < 0) return {};
  Shape output(indices->begin(), indices->end() - 1);
  output.insert(output.end(), data->begin() + given + count, data->end());
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Status scatter_elements(Context& context) {
  OCTET_TRY(check_same_type(context.dtype(0), context.dtype(2)));
  context.set(0, context.dtype(0), input_shape(context, 0));
  OCTET_TRY(check_indices(context));
  const auto* indices = context.shape(1);
  const auto* updates = context.shape(2);
  if (indices == nullptr || updates == nullptr) return {};
  bool fits = indices->size() == updates->size();
  for (std::size_t i = 0; fits && i < indices->size(); ++i) {
    fits = !differ((*indices)[i], (*updates)[i]);
  }
  if (fits) return {};
  return bad_input("indices {} and updates {} differ", text(*indices), text(*updates));
}

Status scatter_nd(Context& context) {
  OCTET_TRY(check_same_type(context.dtype(0), context.dtype(2)));
  context.set(0, context.dtype(0), input_shape(context, 0));
  const auto* data = context.shape(0);
  const auto* indices = context.shape(1);
  const auto* updates = context.shape(2);
  if (data == nullptr || indices == nullptr) return {};
  OCTET_ASSIGN(const auto count, indexed_dimensions(*data, *indices, 0));
  if (count < 0 || updates == nullptr) return {};
  Shape expected(indices->begin(), indices->end() - 1);
  expected.insert(expected.end(), data->begin() + count, data->end());
  bool fits = expected.size() == updates->size();
  for (std::size_t i = 0; fits && i < expected.size(); ++i) {
    fits = !differ(expected[i], (*updates)[i]);
  }
  if (fits) return {};
  return bad_input("the updates {} are not of the shape {}", text(*updates), text(expected));
}

}  // namespace octet::shape_rules
