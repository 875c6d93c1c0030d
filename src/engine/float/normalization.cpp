// BatchNormalization (inference), LayerNormalization, InstanceNormalization and
// GroupNormalization.

#include <array>
#include <cmath>

#include "engine/float/blocks.h"
#include "engine/float/broadcast.h"
#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"
#include "graph/onnx_dtype.h"

namespace octet::float_engine {
namespace {

/// y = x * scale + shift by channel.
struct ChannelAffine {
  std::vector<float> scale;
  std::vector<float> shift;
};

/// scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale; in double, stored as f32.
Result<ChannelAffine> batch_norm_affine(Inputs inputs, std::int64_t channels, double epsilon) {
  for (std::size_t i = 1; i <= 4; ++i) {
    OCTET_TRY(require_f32(inputs[i]->tensor, "a parameter"));
    if (inputs[i]->tensor.size() != channels) {
      return bad_input("parameter {} has shape {} where the input has {} channels", i,
                       to_string(inputs[i]->tensor.shape()), channels);
    }
  }
  const float* gamma = inputs[1]->tensor.data<float>();
  const float* beta = inputs[2]->tensor.data<float>();
  const float* mean = inputs[3]->tensor.data<float>();
  const float* variance = inputs[4]->tensor.data<float>();
  ChannelAffine affine;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double scale =
        static_cast<double>(gamma[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    affine.scale.push_back(static_cast<float>(scale));
    affine.shift.push_back(
        static_cast<float>(static_cast<double>(beta[c]) - static_cast<double>(mean[c]) * scale));
  }
  return affine;
}

Outputs run_batch_norm(Inputs inputs, double epsilon, const ChannelAffine* prepared) {
  const Activation& x = *inputs[0];
  OCTET_TRY(require_f32(x.tensor, "its input"));
  if (x.tensor.rank() < 2) {
    return bad_input("input of shape {} has no channels", to_string(x.tensor.shape()));
  }
  const std::int64_t channels = x.tensor.dim(1);
  ChannelAffine computed;
  if (prepared == nullptr || static_cast<std::int64_t>(prepared->scale.size()) != channels) {
    OCTET_ASSIGN(computed, batch_norm_affine(inputs, channels, epsilon));
    prepared = &computed;
  }
  const ChannelAffine& affine = *prepared;
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.tensor.shape()));
  if (out.size() == 0) return one_output(std::move(out), x.channels_last);
  const float* from = x.tensor.data<float>();
  float* to = out.mutable_data<float>();
  if (x.channels_last) {
    for (std::int64_t i = 0; i < out.size(); i += channels) {
      loops::scale_shift_each(from + i, affine.scale.data(), affine.shift.data(), to + i, channels);
    }
    return one_output(std::move(out), true);
  }
  const std::int64_t inner = out.size() / (out.dim(0) * channels);
  for (std::int64_t row = 0; row < out.dim(0) * channels; ++row) {
    const auto c = static_cast<std::size_t>(row % channels);
    loops::scale_shift(from + row * inner, affine.scale[c], affine.shift[c], to + row * inner,
                       inner);
  }
  return one_output(std::move(out));
}

MadeOp make_batch_norm(const OpSource& source) {
  if (source.node.int_attribute("training_mode", 0) != 0) {
    return bad_input("training mode is not supported");
  }
  const auto epsilon = static_cast<double>(source.node.float_attribute("epsilon", 1e-5F));
  std::optional<ChannelAffine> prepared;
  std::vector<Activation> parameters(5);
  std::vector<const Activation*> pointers{nullptr};
  for (std::size_t i = 1; i < parameters.size() && source.constant(i) != nullptr; ++i) {
    parameters[i].tensor = *source.constant(i);
    pointers.push_back(&parameters[i]);
  }
  if (pointers.size() == parameters.size()) {
    OCTET_ASSIGN(prepared, batch_norm_affine(pointers, parameters[1].tensor.size(), epsilon));
  }
  return make_function(source, InputOrder::any,
                       [epsilon, prepared = std::move(prepared)](Inputs inputs) {
                         return run_batch_norm(inputs, epsilon, prepared ? &*prepared : nullptr);
                       });
}

/// Mean and 1 / sqrt(variance + epsilon) of neighbours; computed in double, rounded once to f32.
struct Moments {
  float mean;
  float inverse_deviation;
};

Moments moments(const float* x, std::int64_t n, double epsilon) {
  const double mean = loops::sum(x, n) / static_cast<double>(n);
  const double variance = loops::sum_of_squares(x, n, mean) / static_cast<double>(n);
  return {static_cast<float>(mean), static_cast<float>(1.0 / std::sqrt(variance + epsilon))};
}

/// A dense copy of an optional parameter broadcast to `shape`; all `fallback` when it is absent.
Result<Tensor> parameter(Inputs inputs, std::size_t i, const Shape& shape, float fallback) {
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, shape));
  float* to = out.mutable_data<float>();
  if (i >= inputs.size() || inputs[i] == nullptr) {
    std::fill_n(to, out.size(), fallback);
    return out;
  }
  const Tensor& given = inputs[i]->tensor;
  OCTET_TRY(require_f32(given, "a parameter"));
  if (given.shape() == shape) return given;
  OCTET_ASSIGN(const auto plan, BroadcastPlan::make(given.shape(), shape));
  if (plan.shape() != shape) {
    return bad_input("parameter {} has shape {}, which does not broadcast to {}", i,
                     to_string(given.shape()), to_string(shape));
  }
  const float* from = given.data<float>();
  plan.for_each_run(
      [&](std::int64_t offset, int step, std::int64_t, int, std::int64_t o, std::int64_t n) {
        for (std::int64_t k = 0; k < n; ++k) to[o + k] = from[offset + k * step];
      });
  return out;
}

/// Outputs: Y, the means and the inverse standard deviations.
Outputs run_layer_norm(Inputs inputs, std::int64_t axis_attribute, double epsilon) {
  const Tensor& x = inputs[0]->tensor;
  OCTET_TRY(require_f32(x, "its input"));
  OCTET_ASSIGN(const int axis, normalize_axis(axis_attribute, x.shape().size()));
  const auto split = x.shape().begin() + axis;
  const Shape normalized(split, x.shape().end());
  Shape statistics(x.shape().begin(), split);
  const std::int64_t width = element_count(normalized);
  const std::int64_t rows = element_count(statistics);
  if (width == 0) return bad_input("shape {} has nothing to normalize over", to_string(x.shape()));
  statistics.resize(x.shape().size(), 1);
  OCTET_ASSIGN(const Tensor scale, parameter(inputs, 1, normalized, 1.0F));
  OCTET_ASSIGN(const Tensor shift, parameter(inputs, 2, normalized, 0.0F));
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.shape()));
  OCTET_ASSIGN(Tensor means, new_tensor(DType::f32, statistics));
  OCTET_ASSIGN(Tensor deviations, new_tensor(DType::f32, statistics));
  const float* from = x.data<float>();
  float* to = out.mutable_data<float>();
  float* mean = means.mutable_data<float>();
  float* deviation = deviations.mutable_data<float>();
  for_blocks(rows, rows_of_block(width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const auto m = moments(from + row * width, width, epsilon);
      mean[row] = m.mean;
      deviation[row] = m.inverse_deviation;
      loops::normalize_each(from + row * width, m.mean, m.inverse_deviation, scale.data<float>(),
                            shift.data<float>(), to + row * width, width);
    }
  });
  std::vector<Activation> outputs;
  outputs.push_back({std::move(out)});
  outputs.push_back({std::move(means)});
  outputs.push_back({std::move(deviations)});
  return outputs;
}

MadeOp make_layer_norm(const OpSource& source) {
  const std::int64_t axis = source.node.int_attribute("axis", -1);
  const auto epsilon = static_cast<double>(source.node.float_attribute("epsilon", 1e-5F));
  const std::int64_t stash_type = source.node.int_attribute("stash_type", 1);
  if (stash_type != onnx_code(DType::f32)) {
    return bad_input("stash_type {} is not supported, only that of f32", stash_type);
  }
  return make_function(source, InputOrder::plain, [axis, epsilon](Inputs inputs) {
    return run_layer_norm(inputs, axis, epsilon);
  });
}

/// The scale or shift of each channel from a 1-D input of one element for each channel or group.
Result<std::vector<float>> by_channel(const Tensor& given, std::int64_t channels,
                                      std::int64_t groups) {
  OCTET_TRY(require_f32(given, "a parameter"));
  if (given.rank() != 1 || (given.size() != channels && given.size() != groups)) {
    return bad_input("a parameter has shape {} where the input has {} channels",
                     to_string(given.shape()), channels);
  }
  std::vector<float> result;
  const std::int64_t repeats = channels / given.size();
  for (const float value : given.values<float>()) {
    result.insert(result.end(), static_cast<std::size_t>(repeats), value);
  }
  return result;
}

/// Each group of channels of each item is normalized as one row.
Outputs run_group_norm(Inputs inputs, std::int64_t groups, double epsilon) {
  const Tensor& x = inputs[0]->tensor;
  OCTET_TRY(require_f32(x, "its input"));
  if (x.rank() < 2) return bad_input("input of shape {} has no channels", to_string(x.shape()));
  const std::int64_t channels = x.dim(1);
  if (groups < 1 || channels % groups != 0) {
    return bad_input("{} channels do not make {} groups", channels, groups);
  }
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.shape()));
  if (out.size() == 0) return one_output(std::move(out));
  OCTET_ASSIGN(const auto scale, by_channel(inputs[1]->tensor, channels, groups));
  OCTET_ASSIGN(const auto shift, by_channel(inputs[2]->tensor, channels, groups));
  const std::int64_t inner = x.size() / (x.dim(0) * channels);
  const std::int64_t members = channels / groups;
  const std::int64_t width = members * inner;
  const float* from = x.data<float>();
  float* to = out.mutable_data<float>();
  for_blocks(x.dim(0) * groups, rows_of_block(width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const auto m = moments(from + row * width, width, epsilon);
      for (std::int64_t member = 0; member < members; ++member) {
        const auto c = static_cast<std::size_t>(row % groups * members + member);
        const std::int64_t offset = row * width + member * inner;
        loops::normalize(from + offset, m.mean, m.inverse_deviation * scale[c], shift[c],
                         to + offset, inner);
      }
    }
  });
  return one_output(std::move(out));
}

MadeOp make_instance_norm(const OpSource& source) {
  const auto epsilon = static_cast<double>(source.node.float_attribute("epsilon", 1e-5F));
  return make_function(source, InputOrder::plain, [epsilon](Inputs inputs) -> Outputs {
    const Tensor& x = inputs[0]->tensor;
    if (x.rank() < 3) {
      return bad_input("input of shape {} has no spatial dimensions", to_string(x.shape()));
    }
    return run_group_norm(inputs, std::max<std::int64_t>(x.dim(1), 1), epsilon);
  });
}

MadeOp make_group_norm(const OpSource& source) {
  const auto epsilon = static_cast<double>(source.node.float_attribute("epsilon", 1e-5F));
  const std::int64_t groups = source.node.int_attribute("num_groups", 0);
  return make_function(source, InputOrder::plain, [groups, epsilon](Inputs inputs) {
    return run_group_norm(inputs, groups, epsilon);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"BatchNormalization", 5, 1, make_batch_norm},
    {"GroupNormalization", 3, 1, make_group_norm},
    {"InstanceNormalization", 3, 1, make_instance_norm},
    {"LayerNormalization", 2, 3, make_layer_norm},
});

}  // namespace

std::span<const OpEntry> normalization_entries() { return entries; }

}  // namespace octet::float_engine
