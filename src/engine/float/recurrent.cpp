// LSTM and GRU. The products with the inputs are made for the whole sequence at once, those with
// the state step by step.

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/float/onednn.h"
#include "engine/float/ops.h"
#include "engine/float/recurrent_activation.h"

namespace octet::float_engine {
namespace {

enum class Direction { forward, reverse, bidirectional };

struct Options {
  Direction direction = Direction::forward;
  std::vector<GateFunction> functions;  ///< as many for each direction
  float clip = 0;                       ///< 0: none
  bool batch_first = false;             ///< layout 1
  bool input_forget = false;            ///< LSTM: the forget gate is 1 - the input gate
  bool linear_before_reset = false;     ///< GRU
  std::int64_t hidden_size = 0;         ///< 0: not stated

  [[nodiscard]] std::int64_t directions() const {
    return direction == Direction::bidirectional ? 2 : 1;
  }
};

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

/// Extents and checked inputs; X is [steps, batch, inputs], or [batch, steps, inputs] when
/// batch_first.
struct Problem {
  std::int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, gates = 0, directions = 1;
  bool batch_first = false;
  const float* x = nullptr;
  const float* weights = nullptr;     ///< [directions, gates * hidden, inputs]
  const float* recurrence = nullptr;  ///< [directions, gates * hidden, hidden]
  const float* bias = nullptr;        ///< [directions, 2 * gates * hidden] or nullptr
  const float* initial_h = nullptr;   ///< or nullptr
  const float* initial_c = nullptr;   ///< or nullptr
  const float* peepholes = nullptr;   ///< [directions, 3 * hidden] or nullptr
  std::vector<std::int64_t> lengths;  ///< of each item

  /// Row of a step of an item in X.
  [[nodiscard]] std::int64_t input_row(std::int64_t step, std::int64_t item) const {
    return batch_first ? item * steps + step : step * batch + item;
  }
  /// Row of an item in a state [directions, batch, hidden] or [batch, directions, hidden].
  [[nodiscard]] std::int64_t state_row(std::int64_t direction, std::int64_t item) const {
    return batch_first ? item * directions + direction : direction * batch + item;
  }
  /// Row in Y: [steps, directions, batch, hidden] or [batch, steps, directions, hidden].
  [[nodiscard]] std::int64_t output_row(std::int64_t step, std::int64_t direction,
                                        std::int64_t item) const {
    return batch_first ? (item * steps + step) * directions + direction
                       : (step * directions + direction) * batch + item;
  }
  [[nodiscard]] Shape state_shape() const {
    return batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  }
};

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

/// c[m,n] = a[m,k] * b[n,k]^T (+ c).
Status multiply_transposed(std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                           const float* b, bool accumulate, float* c) {
  if (k == 0) {
    if (!accumulate) std::fill_n(c, m * n, 0.0F);
    return {};
  }
  return onednn::matrix_product(false, true, m, n, k, 1.0F, a, b, accumulate ? 1.0F : 0.0F, c);
}

/// The outputs Y, Y_h and, for an LSTM, Y_c.
struct Results {
  Tensor y, h, c;
};

/// What one direction works on. Buffers hold a row for each item.
class Runner {
 public:
  Runner(const Problem& problem, const Options& options, std::int64_t direction, Results& results)
      : p_(problem),
        direction_(direction),
        reverse_(options.direction == Direction::reverse || direction == 1),
        clip_(options.clip),
        results_(results) {
    const auto per_direction =
        options.functions.size() / static_cast<std::size_t>(problem.directions);
    functions_ = options.functions.data() + static_cast<std::size_t>(direction) * per_direction;
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  virtual ~Runner() = default;

  Status run() {
    OCTET_ASSIGN(projected_, new_tensor(DType::f32, {p_.steps * p_.batch, p_.gates * p_.hidden}));
    OCTET_TRY(multiply_transposed(p_.steps * p_.batch, p_.gates * p_.hidden, p_.inputs, p_.x,
                                  p_.weights + direction_ * p_.gates * p_.hidden * p_.inputs, false,
                                  projected_.mutable_data<float>()));
    OCTET_ASSIGN(state_, initial_state(p_.initial_h));
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

 protected:
  virtual Status prepare() = 0;
  virtual Status compute_step(std::int64_t step) = 0;
  virtual Status finish() { return {}; }

  [[nodiscard]] bool active(std::int64_t step, std::int64_t item) const {
    return step < p_.lengths[static_cast<std::size_t>(item)];
  }
  /// Where in the sequence an item is at the given step; backwards from its own end.
  [[nodiscard]] std::int64_t time(std::int64_t step, std::int64_t item) const {
    return reverse_ ? p_.lengths[static_cast<std::size_t>(item)] - 1 - step : step;
  }
  /// The inputs' part of an item's gates.
  [[nodiscard]] const float* projected(std::int64_t step, std::int64_t item) const {
    return projected_.data<float>() + p_.input_row(time(step, item), item) * p_.gates * p_.hidden;
  }
  /// Row of gate `gate` in the recurrent weights.
  [[nodiscard]] const float* recurrent_weights(std::int64_t gate) const {
    return p_.recurrence + (direction_ * p_.gates + gate) * p_.hidden * p_.hidden;
  }
  /// Input bias (part 0) or recurrent bias (part 1) of a gate's unit.
  [[nodiscard]] float bias(int part, std::int64_t unit) const {
    if (p_.bias == nullptr) return 0.0F;
    return p_.bias[(direction_ * 2 + part) * p_.gates * p_.hidden + unit];
  }

  /// The first `width` units of each item's gates before their functions: inputs, biases and
  /// recurrence; undefined for items whose sequence has ended.
  Status sum_gates(std::int64_t step, std::int64_t width, float* sums) const {
    for (std::int64_t item = 0; item < p_.batch; ++item) {
      float* row = sums + item * width;
      if (!active(step, item)) {
        std::fill_n(row, width, 0.0F);
        continue;
      }
      const float* from = projected(step, item);
      for (std::int64_t u = 0; u < width; ++u) row[u] = from[u] + (bias(0, u) + bias(1, u));
    }
    return multiply_transposed(p_.batch, width, p_.hidden, state_.data<float>(),
                               recurrent_weights(0), true, sums);
  }

  void clip(float* values, std::int64_t n) const {
    if (!(clip_ > 0)) return;
    for (std::int64_t i = 0; i < n; ++i) values[i] = std::clamp(values[i], -clip_, clip_);
  }

  Result<Tensor> initial_state(const float* given) const {
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

  /// The state after the last step; 0 for an item without steps, as ONNX Runtime has it.
  void store_state(const Tensor& state, Tensor& out) const {
    for (std::int64_t item = 0; item < p_.batch; ++item) {
      float* to = out.mutable_data<float>() + p_.state_row(direction_, item) * p_.hidden;
      if (active(0, item)) {
        std::copy_n(state.data<float>() + item * p_.hidden, p_.hidden, to);
      } else {
        std::fill_n(to, p_.hidden, 0.0F);
      }
    }
  }

  const Problem& p_;
  std::int64_t direction_;
  bool reverse_;
  float clip_;
  const GateFunction* functions_ = nullptr;
  Results& results_;
  Tensor projected_;
  Tensor state_;

 private:
  void store_step(std::int64_t step) {
    float* y = results_.y.mutable_data<float>();
    for (std::int64_t item = 0; item < p_.batch; ++item) {
      if (!active(step, item)) continue;
      std::copy_n(state_.data<float>() + item * p_.hidden, p_.hidden,
                  y + p_.output_row(time(step, item), direction_, item) * p_.hidden);
    }
  }
};

/// Gates in the order input, output, forget, cell:
///   i = f(Xi + Ri h + Pi c), f = f(Xf + Rf h + Pf c), c~ = g(Xc + Rc h),
///   c' = f c + i c~, o = f(Xo + Ro h + Po c'), h' = o h(c').
class LstmRunner : public Runner {
 public:
  LstmRunner(const Problem& problem, const Options& options, std::int64_t direction,
             Results& results)
      : Runner(problem, options, direction, results), input_forget_(options.input_forget) {}

 protected:
  Status prepare() override {
    OCTET_ASSIGN(cell_, initial_state(p_.initial_c));
    OCTET_ASSIGN(gates_, new_tensor(DType::f32, {p_.batch, 4 * p_.hidden}));
    OCTET_ASSIGN(scratch_, new_tensor(DType::f32, {5, p_.hidden}));
    return {};
  }

  Status compute_step(std::int64_t step) override {
    const std::int64_t width = 4 * p_.hidden;
    float* gates = gates_.mutable_data<float>();
    OCTET_TRY(sum_gates(step, width, gates));
    for (std::int64_t item = 0; item < p_.batch; ++item) {
      if (active(step, item)) update(item, gates + item * width);
    }
    return {};
  }

  Status finish() override {
    store_state(cell_, results_.c);
    return {};
  }

 private:
  /// One item's new cell and state from the sums of its gates.
  void update(std::int64_t item, float* sums) {
    const std::int64_t n = p_.hidden;
    float* cell = cell_.mutable_data<float>() + item * n;
    float* state = state_.mutable_data<float>() + item * n;
    float* input = scratch_.mutable_data<float>();
    float* output = input + n;
    float* forget = output + n;
    float* candidate = forget + n;
    float* bent = candidate + n;
    const float* peepholes = p_.peepholes != nullptr ? p_.peepholes + direction_ * 3 * n : nullptr;
    add_peephole(peepholes, 0, cell, sums);
    add_peephole(peepholes, 2, cell, sums + 2 * n);
    clip(sums, n);
    clip(sums + 2 * n, 2 * n);
    functions_[0](sums, input, n);
    functions_[0](sums + 2 * n, forget, n);
    functions_[1](sums + 3 * n, candidate, n);
    for (std::int64_t u = 0; u < n; ++u) {
      const float kept = input_forget_ ? 1.0F - input[u] : forget[u];
      cell[u] = kept * cell[u] + input[u] * candidate[u];
    }
    add_peephole(peepholes, 1, cell, sums + n);
    clip(sums + n, n);
    functions_[0](sums + n, output, n);
    functions_[2](cell, bent, n);
    for (std::int64_t u = 0; u < n; ++u) state[u] = output[u] * bent[u];
  }

  void add_peephole(const float* peepholes, std::int64_t gate, const float* cell,
                    float* sums) const {
    if (peepholes == nullptr) return;
    const float* weights = peepholes + gate * p_.hidden;
    for (std::int64_t u = 0; u < p_.hidden; ++u) sums[u] += weights[u] * cell[u];
  }

  bool input_forget_;
  Tensor cell_;
  Tensor gates_;
  Tensor scratch_;
};

/// Gates in the order update, reset, hidden:
///   z = f(Xz + Rz h), r = f(Xr + Rr h), h~ = g(Xh + Rh (r h) + bias), or with linear_before_reset
///   h~ = g(Xh + r (Rh h + recurrent bias) + input bias); h' = (1 - z) h~ + z h.
class GruRunner : public Runner {
 public:
  GruRunner(const Problem& problem, const Options& options, std::int64_t direction,
            Results& results)
      : Runner(problem, options, direction, results), linear_(options.linear_before_reset) {}

 protected:
  Status prepare() override {
    const std::int64_t n = p_.hidden;
    OCTET_ASSIGN(sums_, new_tensor(DType::f32, {p_.batch, 2 * n}));
    OCTET_ASSIGN(gates_, new_tensor(DType::f32, {p_.batch, 2 * n}));
    OCTET_ASSIGN(reset_, new_tensor(DType::f32, {p_.batch, n}));
    OCTET_ASSIGN(hidden_, new_tensor(DType::f32, {p_.batch, n}));
    OCTET_ASSIGN(candidate_, new_tensor(DType::f32, {n}));
    return {};
  }

  Status compute_step(std::int64_t step) override {
    OCTET_TRY(compute_gates(step));
    const std::int64_t n = p_.hidden;
    float* reset = reset_.mutable_data<float>();
    const float* gates = gates_.data<float>();
    const float* state = state_.data<float>();
    for (std::int64_t item = 0; item < p_.batch; ++item) {
      for (std::int64_t u = 0; u < n; ++u) {
        const float factor = linear_ ? 1.0F : gates[item * 2 * n + n + u];
        reset[item * n + u] = factor * state[item * n + u];
      }
    }
    OCTET_TRY(multiply_transposed(p_.batch, n, n, reset, recurrent_weights(2), false,
                                  hidden_.mutable_data<float>()));
    for (std::int64_t item = 0; item < p_.batch; ++item) {
      if (active(step, item)) update(step, item);
    }
    return {};
  }

 private:
  Status compute_gates(std::int64_t step) {
    const std::int64_t width = 2 * p_.hidden;
    float* sums = sums_.mutable_data<float>();
    OCTET_TRY(sum_gates(step, width, sums));
    clip(sums, p_.batch * width);
    functions_[0](sums, gates_.mutable_data<float>(), p_.batch * width);
    return {};
  }

  void update(std::int64_t step, std::int64_t item) {
    const std::int64_t n = p_.hidden;
    const float* from = projected(step, item) + 2 * n;
    const float* gates = gates_.data<float>() + item * 2 * n;
    float* hidden = hidden_.mutable_data<float>() + item * n;
    float* state = state_.mutable_data<float>() + item * n;
    for (std::int64_t u = 0; u < n; ++u) {
      const float recurrent = hidden[u] + bias(1, 2 * n + u);
      hidden[u] = from[u] + bias(0, 2 * n + u) + (linear_ ? gates[n + u] * recurrent : recurrent);
    }
    clip(hidden, n);
    float* candidate = candidate_.mutable_data<float>();
    functions_[1](hidden, candidate, n);
    for (std::int64_t u = 0; u < n; ++u) {
      state[u] = (1.0F - gates[u]) * candidate[u] + gates[u] * state[u];
    }
  }

  bool linear_;
  Tensor sums_;
  Tensor gates_;
  Tensor reset_;
  Tensor hidden_;
  Tensor candidate_;
};

template <class Cell>
Outputs run_recurrent(Inputs inputs, const Options& options, std::int64_t gates) {
  OCTET_ASSIGN(const Problem p, read_problem(inputs, options, gates));
  Results results;
  OCTET_ASSIGN(
      results.y,
      new_tensor(DType::f32, p.batch_first ? Shape{p.batch, p.steps, p.directions, p.hidden}
                                           : Shape{p.steps, p.directions, p.batch, p.hidden}));
  // Steps beyond an item's length stay 0.
  std::fill_n(results.y.mutable_data<float>(), results.y.size(), 0.0F);
  OCTET_ASSIGN(results.h, new_tensor(DType::f32, p.state_shape()));
  OCTET_ASSIGN(results.c, new_tensor(DType::f32, p.state_shape()));
  for (std::int64_t d = 0; d < p.directions; ++d) {
    Cell cell(p, options, d, results);
    OCTET_TRY(cell.run());
  }
  std::vector<Activation> outputs;
  outputs.push_back({std::move(results.y)});
  outputs.push_back({std::move(results.h)});
  if (gates == 4) outputs.push_back({std::move(results.c)});
  return outputs;
}

MadeOp make_lstm(const OpSource& source) {
  OCTET_ASSIGN(auto options, read_options(source.node, {"Sigmoid", "Tanh", "Tanh"}));
  return make_function(source, InputOrder::plain, [options = std::move(options)](Inputs inputs) {
    return run_recurrent<LstmRunner>(inputs, options, 4);
  });
}

MadeOp make_gru(const OpSource& source) {
  OCTET_ASSIGN(auto options, read_options(source.node, {"Sigmoid", "Tanh"}));
  return make_function(source, InputOrder::plain, [options = std::move(options)](Inputs inputs) {
    return run_recurrent<GruRunner>(inputs, options, 3);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"GRU", 3, 2, make_gru},
    {"LSTM", 3, 3, make_lstm},
});

}  // namespace

std::span<const OpEntry> recurrent_entries() { return entries; }

}  // namespace octet::float_engine
