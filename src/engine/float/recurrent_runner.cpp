#include "engine/float/recurrent_runner.h"

#include <algorithm>
#include <cmath>

#include "engine/float/onednn.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine::recurrent {
namespace {

/// An f32 input of exactly this shape; nullptr when it is absent.
Result<const float*> shaped_input(Inputs inputs, std::size_t i, const Shape& shape,
                                  std::string_view what) {
  if (i >= inputs.size() || inputs[i] == nullptr) return nullptr;
  const Tensor& tensor = inputs[i]->tensor;
  OCTET_TRY(require_f32(tensor, what));
  if (tensor.shape() != shape) {
    return bad_input("{} has shape {}, expected {}", what, to_string(tensor.shape()),
                     to_string(shape));
  }
  return tensor.data<float>();
}

Result<std::vector<std::int64_t>> sequence_lengths(Inputs inputs, const Problem& p) {
  if (inputs.size() <= 4 || inputs[4] == nullptr) {
    return std::vector<std::int64_t>(static_cast<std::size_t>(p.batch), p.steps);
  }
  OCTET_ASSIGN(auto lengths, integer_input(*inputs[4], "sequence_lens"));
  if (lengths.size() != static_cast<std::size_t>(p.batch)) {
    return bad_input("{} sequence lengths for {} items", lengths.size(), p.batch);
  }
  for (const auto length : lengths) {
    if (length < 0 || length > p.steps) {
      return bad_input("a sequence of {} steps in an input of {}", length, p.steps);
    }
  }
  return lengths;
}

/// c[m,n] = a[m,k] * b[n,k]^T (+ c).
Status multiply_transposed(std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                           const float* b, bool accumulate, float* c) {
  if (k == 0) {
    if (!accumulate) std::fill_n(c, m * n, 0.0F);
    return {};
  }
  return onednn::matrix_product(false, true, m, n, k, 1.0F, a, b, accumulate ? 1.0F : 0.0F, c);
}

}  // namespace

Result<Options> read_options(const Node& node, const std::vector<std::string>& defaults) {
  Options options;
  const auto direction = node.string_attribute("direction", "forward");
  if (direction == "reverse") {
    options.direction = Direction::reverse;
  } else if (direction == "bidirectional") {
    options.direction = Direction::bidirectional;
  } else if (direction != "forward") {
    return bad_input("direction {} is not supported", direction);
  }
  const auto count = defaults.size() * static_cast<std::size_t>(options.directions());
  OCTET_ASSIGN(options.functions, gate_functions(node, defaults, count));
  options.clip = std::fabs(node.float_attribute("clip", 0.0F));
  options.batch_first = node.int_attribute("layout", 0) != 0;
  options.input_forget = node.int_attribute("input_forget", 0) != 0;
  options.linear_before_reset = node.int_attribute("linear_before_reset", 0) != 0;
  options.hidden_size = node.int_attribute("hidden_size", 0);
  return options;
}

Result<Problem> read_problem(Inputs inputs, const Options& options, std::int64_t gates) {
  const Tensor& x = inputs[0]->tensor;
  const Tensor& recurrence = inputs[2]->tensor;
  OCTET_TRY(require_f32(x, "X"));
  if (x.rank() != 3 || recurrence.rank() != 3) {
    return bad_input("X has shape {} and R {}, expected three dimensions", to_string(x.shape()),
                     to_string(recurrence.shape()));
  }
  Problem p;
  p.batch_first = options.batch_first;
  p.steps = x.dim(p.batch_first ? 1 : 0);
  p.batch = x.dim(p.batch_first ? 0 : 1);
  p.inputs = x.dim(2);
  p.hidden = recurrence.dim(2);
  p.gates = gates;
  p.directions = options.directions();
  p.x = x.data<float>();
  if (options.hidden_size != 0 && options.hidden_size != p.hidden) {
    return bad_input("hidden_size is {} where R has shape {}", options.hidden_size,
                     to_string(recurrence.shape()));
  }
  OCTET_ASSIGN(p.weights, shaped_input(inputs, 1, {p.directions, gates * p.hidden, p.inputs}, "W"));
  OCTET_ASSIGN(p.recurrence,
               shaped_input(inputs, 2, {p.directions, gates * p.hidden, p.hidden}, "R"));
  OCTET_ASSIGN(p.bias, shaped_input(inputs, 3, {p.directions, 2 * gates * p.hidden}, "B"));
  OCTET_ASSIGN(p.lengths, sequence_lengths(inputs, p));
  OCTET_ASSIGN(p.initial_h, shaped_input(inputs, 5, p.state_shape(), "initial_h"));
  if (gates == 4) {
    OCTET_ASSIGN(p.initial_c, shaped_input(inputs, 6, p.state_shape(), "initial_c"));
    OCTET_ASSIGN(p.peepholes, shaped_input(inputs, 7, {p.directions, 3 * p.hidden}, "P"));
  }
  return p;
}

Status Runner::run() {
  OCTET_ASSIGN(projected_, new_tensor(DType::f32, {p_.steps * p_.batch, p_.gates * p_.hidden}));
  OCTET_TRY(multiply_transposed(p_.steps * p_.batch, p_.gates * p_.hidden, p_.inputs, p_.x,
                                p_.weights + direction_ * p_.gates * p_.hidden * p_.inputs, false,
                                projected_.mutable_data<float>()));
  OCTET_ASSIGN(state_, initial_state(p_.initial_h));
  OCTET_TRY(add_biases());
  if (p_.batch <= few_items) OCTET_TRY(turn_recurrence());
  OCTET_TRY(prepare());
  const auto longest = std::max_element(p_.lengths.begin(), p_.lengths.end());
  const std::int64_t steps = longest == p_.lengths.end() ? 0 : *longest;
  for (std::int64_t step = 0; step < steps; ++step) {
    OCTET_TRY(compute_step(step));
    store_step(step);
  }
  store_state(state_, results_.h);
  return finish();
}

Status Runner::sum_gates(std::int64_t step, std::int64_t width, float* sums) const {
  for (std::int64_t item = 0; item < p_.batch; ++item) {
    float* row = sums + item * width;
    if (!active(step, item)) {
      std::fill_n(row, width, 0.0F);
      continue;
    }
    const float* from = projected(step, item);
    loops::add(from, 1, bias_.data<float>(), 1, row, width);
  }
  return add_recurrence(0, width, state_.data<float>(), sums);
}

Status Runner::add_recurrence(std::int64_t first, std::int64_t width, const float* values,
                              float* sums) const {
  if (p_.batch > few_items) {
    return multiply_transposed(p_.batch, width, p_.hidden, values,
                               recurrent_weights(0) + first * p_.hidden, true, sums);
  }
  const float* rows = turned_.data<float>() + first * p_.hidden;
  for (std::int64_t item = 0; item < p_.batch; ++item) {
    loops::add_scaled_rows(values + item * p_.hidden, rows, p_.hidden, sums + item * width, width);
  }
  return {};
}

void Runner::clip(float* values, std::int64_t n) const {
  if (!(clip_ > 0)) return;
  for (std::int64_t i = 0; i < n; ++i) values[i] = std::clamp(values[i], -clip_, clip_);
}

Result<Tensor> Runner::initial_state(const float* given) const {
  OCTET_ASSIGN(Tensor state, new_tensor(DType::f32, {p_.batch, p_.hidden}));
  float* to = state.mutable_data<float>();
  for (std::int64_t item = 0; item < p_.batch; ++item, to += p_.hidden) {
    if (given == nullptr) {
      std::fill_n(to, p_.hidden, 0.0F);
    } else {
      std::copy_n(given + p_.state_row(direction_, item) * p_.hidden, p_.hidden, to);
    }
  }
  return state;
}

void Runner::store_state(const Tensor& state, Tensor& out) const {
  for (std::int64_t item = 0; item < p_.batch; ++item) {
    float* to = out.mutable_data<float>() + p_.state_row(direction_, item) * p_.hidden;
    if (active(0, item)) {
      std::copy_n(state.data<float>() + item * p_.hidden, p_.hidden, to);
    } else {
      std::fill_n(to, p_.hidden, 0.0F);
    }
  }
}

Status Runner::add_biases() {
  const std::int64_t units = p_.gates * p_.hidden;
  OCTET_ASSIGN(bias_, new_tensor(DType::f32, {units}));
  float* to = bias_.mutable_data<float>();
  for (std::int64_t u = 0; u < units; ++u) to[u] = bias(0, u) + bias(1, u);
  return {};
}

Status Runner::turn_recurrence() {
  OCTET_ASSIGN(turned_, new_tensor(DType::f32, {p_.gates * p_.hidden, p_.hidden}));
  float* to = turned_.mutable_data<float>();
  std::int64_t first = 0;
  for (const std::int64_t width : widths()) {
    const float* from = recurrent_weights(0) + first * p_.hidden;
    for (std::int64_t k = 0; k < p_.hidden; ++k) {
      for (std::int64_t u = 0; u < width; ++u) *to++ = from[u * p_.hidden + k];
    }
    first += width;
  }
  return {};
}

void Runner::store_step(std::int64_t step) {
  float* y = results_.y.mutable_data<float>();
  for (std::int64_t item = 0; item < p_.batch; ++item) {
    if (!active(step, item)) continue;
    std::copy_n(state_.data<float>() + item * p_.hidden, p_.hidden,
                y + p_.output_row(time(step, item), direction_, item) * p_.hidden);
  }
}

}  // namespace octet::float_engine::recurrent
