#pragma once
// What LSTM and GRU share: options, inputs, and the walk along a sequence. The products with the
// inputs are made for the whole sequence at once, those with the state step by step. Internal to
// the float engine.

#include <string>
#include <vector>

#include "engine/float/ops.h"
#include "engine/float/recurrent_activation.h"

namespace octet::float_engine::recurrent {

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

/// `defaults` name the functions of the gates.
[[nodiscard]] Result<Options> read_options(const Node& node,
                                           const std::vector<std::string>& defaults);

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

[[nodiscard]] Result<Problem> read_problem(Inputs inputs, const Options& options,
                                           std::int64_t gates);

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

  Status run();

 protected:
  virtual Status prepare() = 0;
  virtual Status compute_step(std::int64_t step) = 0;
  virtual Status finish() { return {}; }
  /// Rows of the recurrent weights that add_recurrence is called for, in their order.
  [[nodiscard]] virtual std::vector<std::int64_t> widths() const = 0;

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
  Status sum_gates(std::int64_t step, std::int64_t width, float* sums) const;

  /// sums [batch, width] += values [batch, hidden] by `width` rows of the recurrent weights from
  /// row `first` on.
  Status add_recurrence(std::int64_t first, std::int64_t width, const float* values,
                        float* sums) const;

  void clip(float* values, std::int64_t n) const;

  Result<Tensor> initial_state(const float* given) const;

  /// The state after the last step; 0 for an item without steps, as ONNX Runtime has it.
  void store_state(const Tensor& state, Tensor& out) const;

  const Problem& p_;
  std::int64_t direction_;
  bool reverse_;
  float clip_;
  const GateFunction* functions_ = nullptr;
  Results& results_;
  Tensor projected_;
  Tensor state_;
  Tensor turned_;
  Tensor bias_;  ///< both, [gates * hidden]

 private:
  /// Up to so many items a step's product is faster as sums of rows than as a call of a library.
  static constexpr std::int64_t few_items = 4;

  Status add_biases();

  /// Recurrent weights with a row for each unit of the state: those of the gates that are computed
  /// together, [hidden, width], one after the other.
  Status turn_recurrence();

  void store_step(std::int64_t step);
};

}  // namespace octet::float_engine::recurrent
