// in_row_major: an operator between two orders in memory.

#include "core/tensor.h"
#include "engine/gradient/gradient_op.h"

namespace octet::gradient {
namespace {

/// to[n][j][i] = or += from[n][i][j], [rows][columns] in `from`.
void swap_axes(std::int64_t batch, std::int64_t rows, std::int64_t columns, const float* from,
               const Target& to) {
  for (std::int64_t n = 0; n < batch; ++n) {
    const float* in = from + n * rows * columns;
    float* out = to.data + n * rows * columns;
    for (std::int64_t j = 0; j < columns; ++j) {
      for (std::int64_t i = 0; i < rows; ++i) {
        float& element = out[j * rows + i];
        element = to.add ? element + in[i * columns + j] : in[i * columns + j];
      }
    }
  }
}

Tensor room(std::int64_t count) { return {DType::f32, {count}}; }

/// A value whose order in memory may have to change.
struct Placed {
  Shape shape;
  bool moves = false;  ///< is not in row-major order
  std::int64_t count = 0;

  Placed(const Shape& of, bool parameter)
      : shape(of), moves(!is_row_major(of, parameter)), count(element_count(of)) {}

  void to_rows(const float* from, float* to) const {
    swap_axes(shape[0], shape[2] * shape[3], shape[1], from, {to, false});
  }
  void from_rows(const float* from, const Target& to) const {
    swap_axes(shape[0], shape[1], shape[2] * shape[3], from, to);
  }
  /// `from` in row-major order: itself, or a copy in `storage`.
  const float* rows(const float* from, Tensor& storage) const {
    if (!moves || from == nullptr) return from;
    storage = room(count);
    to_rows(from, storage.mutable_data<float>());
    return storage.data<float>();
  }
};

class RowMajorOp : public GradientOp {
 public:
  RowMajorOp(const OpSource& source, std::unique_ptr<GradientOp> op)
      : op_(std::move(op)), output_(source.output, source.output_parameter) {
    for (std::size_t i = 0; i < source.inputs.size(); ++i) {
      inputs_.emplace_back(source.inputs[i], source.parameters[i]);
    }
  }

  std::unique_ptr<OpState> make_state() const override { return op_->make_state(); }
  Status update(std::span<const float* const> parameters) override {
    return op_->update(parameters);
  }

  Status forward(const ForwardCall& call) const override {
    std::vector<Tensor> storage(inputs_.size() + 1);
    const auto inputs = rows_of(call.inputs, storage);
    if (!output_.moves) return op_->forward({inputs, call.output, call.state, call.again});
    storage.back() = room(output_.count);
    OCTET_TRY(op_->forward({inputs, storage.back().mutable_data<float>(), call.state, call.again}));
    output_.from_rows(storage.back().data<float>(), {call.output, false});
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    std::vector<Tensor> storage(inputs_.size());
    const auto inputs = rows_of(call.inputs, storage);
    Tensor output, output_gradient;
    std::vector<Tensor> gradients(inputs_.size());
    std::vector<Target> targets(call.input_gradients.begin(), call.input_gradients.end());
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (!targets[i] || !inputs_[i].moves) continue;
      gradients[i] = room(inputs_[i].count);
      targets[i] = {gradients[i].mutable_data<float>(), false};
    }
    OCTET_TRY(
        op_->backward({inputs, output_.rows(call.output, output),
                       output_.rows(call.output_gradient, output_gradient), targets, call.state}));
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (gradients[i].empty()) continue;
      inputs_[i].from_rows(gradients[i].data<float>(), call.input_gradients[i]);
    }
    return {};
  }

 private:
  std::vector<const float*> rows_of(std::span<const float* const> inputs,
                                    std::vector<Tensor>& storage) const {
    std::vector<const float*> rows;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      rows.push_back(inputs_[i].rows(inputs[i], storage[i]));
    }
    return rows;
  }

  std::unique_ptr<GradientOp> op_;
  std::vector<Placed> inputs_;
  Placed output_;
};

}  // namespace

std::unique_ptr<GradientOp> in_row_major(const OpSource& source, std::unique_ptr<GradientOp> op) {
  bool moves = !is_row_major(source.output, source.output_parameter);
  for (std::size_t i = 0; i < source.inputs.size(); ++i) {
    moves = moves || !is_row_major(source.inputs[i], source.parameters[i]);
  }
  return moves ? std::make_unique<RowMajorOp>(source, std::move(op)) : std::move(op);
}

}  // namespace octet::gradient
