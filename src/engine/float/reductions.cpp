// BatchNormalization (inference), means and Softmax.

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"

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

/// Mean of `x`, dense in `shape`, over the axes in `mask`; sums in double.
void reduce_mean(const float* x, const Shape& shape, const std::vector<bool>& mask, float* out,
                 std::int64_t out_count) {
  std::vector<double> sums(static_cast<std::size_t>(out_count), 0.0);
  std::vector<std::int64_t> steps(shape.size(), 0);
  std::int64_t step = 1;
  std::int64_t averaged = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (mask[d]) {
      averaged *= shape[d];
    } else {
      steps[d] = step;
      step *= shape[d];
    }
  }
  // Innermost runs are summed into one element or added to as many.
  const std::size_t inner = shape.size() - 1;
  const std::int64_t run = shape[inner];
  const std::int64_t runs = element_count(shape) / std::max<std::int64_t>(run, 1);
  std::vector<std::int64_t> index(shape.size(), 0);
  std::int64_t target = 0;
  for (std::int64_t r = 0; r < runs; ++r, x += run) {
    double* sum = sums.data() + target;
    if (mask[inner]) {
      for (std::int64_t i = 0; i < run; ++i) *sum += static_cast<double>(x[i]);
    } else {
      loops::add_into_double(sum, x, run);
    }
    for (std::size_t d = inner; d-- > 0;) {
      target += steps[d];
      if (++index[d] < shape[d]) break;
      target -= steps[d] * shape[d];
      index[d] = 0;
    }
  }
  for (std::int64_t i = 0; i < out_count; ++i) {
    out[i] = static_cast<float>(sums[static_cast<std::size_t>(i)] / static_cast<double>(averaged));
  }
}

Outputs mean_over(const Activation& input, const std::vector<bool>& mask, bool keep) {
  OCTET_TRY(require_f32(input.tensor, "its input"));
  const Shape& logical = input.tensor.shape();
  // Dropping dimensions leaves plain order only if the channels stay where plain order has them.
  const Activation x = keep ? input : to_plain(input);
  Shape kept(logical.size());
  Shape dropped;
  std::vector<bool> memory_mask(logical.size());
  for (std::size_t i = 0; i < logical.size(); ++i) {
    kept[i] = mask[i] ? 1 : logical[i];
    if (!mask[i]) dropped.push_back(logical[i]);
    if (mask[i] && logical[i] == 0) return bad_input("a mean over no elements");
    memory_mask[static_cast<std::size_t>(memory_axis(static_cast<int>(i), x.channels_last))] =
        mask[i];
  }
  if (logical.empty()) return one_output(x.tensor);
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, keep ? kept : dropped));
  if (out.size() > 0) {
    reduce_mean(x.tensor.data<float>(), memory_shape(x), memory_mask, out.mutable_data<float>(),
                out.size());
  }
  return one_output(std::move(out), x.channels_last);
}

MadeOp make_global_average(const OpSource& source) {
  return make_function(source, InputOrder::any, [](Inputs inputs) -> Outputs {
    const auto rank = inputs[0]->tensor.shape().size();
    if (rank < 3) {
      return bad_input("input of shape {} has no spatial dimensions",
                       to_string(inputs[0]->tensor.shape()));
    }
    std::vector<bool> mask(rank, true);
    mask[0] = mask[1] = false;
    return mean_over(*inputs[0], mask, true);
  });
}

MadeOp make_reduce_mean(const OpSource& source) {
  const Node& node = source.node;
  const bool keep = node.int_attribute("keepdims", 1) != 0;
  const bool noop = node.int_attribute("noop_with_empty_axes", 0) != 0;
  return make_function(
      source, InputOrder::any,
      [keep, noop, attribute = node.ints_attribute("axes")](Inputs inputs) -> Outputs {
        auto axes = attribute;
        if (inputs.size() > 1 && inputs[1] != nullptr) {
          OCTET_ASSIGN(axes, integer_input(*inputs[1], "the axes input"));
        }
        if (axes.empty() && noop) return one_output(inputs[0]->tensor, inputs[0]->channels_last);
        const auto rank = inputs[0]->tensor.shape().size();
        std::vector<bool> mask(rank, axes.empty());
        for (const auto axis : axes) {
          OCTET_ASSIGN(const int normal, normalize_axis(axis, rank));
          mask[static_cast<std::size_t>(normal)] = true;
        }
        return mean_over(*inputs[0], mask, keep);
      });
}

/// exp(x - max) / sum along one line of elements that lie `step` apart.
void softmax_line(const float* x, float* out, std::int64_t count, std::int64_t step) {
  float largest = x[0];
  for (std::int64_t i = 1; i < count; ++i) largest = std::max(largest, x[i * step]);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float e = std::exp(x[i * step] - largest);
    out[i * step] = e;
    sum += static_cast<double>(e);
  }
  const auto total = static_cast<float>(sum);
  for (std::int64_t i = 0; i < count; ++i) out[i * step] /= total;
}

MadeOp make_softmax(const OpSource& source) {
  const std::int64_t axis_attribute = source.node.int_attribute("axis", -1);
  return make_function(source, InputOrder::plain, [axis_attribute](Inputs inputs) -> Outputs {
    const Tensor& x = inputs[0]->tensor;
    OCTET_TRY(require_f32(x, "its input"));
    OCTET_ASSIGN(const int axis, normalize_axis(axis_attribute, x.shape().size()));
    OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.shape()));
    if (out.size() == 0) return one_output(std::move(out));
    const std::int64_t count = x.dim(axis);
    const std::int64_t inner = row_major_strides(x.shape())[static_cast<std::size_t>(axis)];
    const std::int64_t outer = x.size() / (count * inner);
    float* to = out.mutable_data<float>();
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t offset = o * count * inner + i;
        softmax_line(x.data<float>() + offset, to + offset, count, inner);
      }
    }
    return one_output(std::move(out));
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"BatchNormalization", 5, 1, make_batch_norm},
    {"GlobalAveragePool", 1, 1, make_global_average},
    {"ReduceMean", 1, 1, make_reduce_mean},
    {"Softmax", 1, 1, make_softmax},
});

}  // namespace

std::span<const OpEntry> reduction_entries() { return entries; }

}  // namespace octet::float_engine
