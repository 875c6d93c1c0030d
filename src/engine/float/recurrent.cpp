// LSTM and GRU.

#include <algorithm>
#include <array>

#include "engine/float/recurrent_runner.h"

namespace octet::float_engine {
namespace {

using recurrent::Options;
using recurrent::Problem;
using recurrent::read_options;
using recurrent::read_problem;
using recurrent::Results;
using recurrent::Runner;

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

  [[nodiscard]] std::vector<std::int64_t> widths() const override { return {4 * p_.hidden}; }

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
    if (peepholes != nullptr) std::copy_n(sums + n, n, bent);
    clip(sums, 4 * n);
    functions_[0](sums, input, 3 * n);
    functions_[1](sums + 3 * n, candidate, n);
    for (std::int64_t u = 0; u < n; ++u) {
      const float kept = input_forget_ ? 1.0F - input[u] : forget[u];
      cell[u] = kept * cell[u] + input[u] * candidate[u];
    }
    if (peepholes != nullptr) {
      // The output gate looks at the new cell.
      std::copy_n(bent, n, sums + n);
      add_peephole(peepholes, 1, cell, sums + n);
      clip(sums + n, n);
      functions_[0](sums + n, output, n);
    }
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

  [[nodiscard]] std::vector<std::int64_t> widths() const override {
    return {2 * p_.hidden, p_.hidden};
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
    std::fill_n(hidden_.mutable_data<float>(), p_.batch * n, 0.0F);
    OCTET_TRY(add_recurrence(2 * n, n, reset, hidden_.mutable_data<float>()));
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
