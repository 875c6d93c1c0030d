// Gemm and MatMul.

#include <algorithm>
#include <array>
#include <mutex>

#include "engine/float/broadcast.h"
#include "engine/float/element_types.h"
#include "engine/float/onednn.h"
#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine {
namespace {

using onednn::MatrixKernel;

constexpr std::size_t kept_primitives = 4;

struct MatrixState : FloatOp::State {
  struct Compiled {
    std::int64_t rows = 0;
    std::unique_ptr<onednn::Primitive> primitive;
  };
  std::vector<Compiled> compiled;
};

void apply_fusion(const Fusion& fusion, Tensor& tensor) {
  if (fusion.kind == Fusion::Kind::none) return;
  const float low = fusion.kind == Fusion::Kind::relu ? 0.0F : fusion.low;
  float* values = tensor.mutable_data<float>();
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const float raised = values[i] > low ? values[i] : low;
    values[i] = fusion.kind == Fusion::Kind::clip && raised > fusion.high ? fusion.high : raised;
  }
}

/// Constant weights [depth, columns] (or transposed), reordered once and shared by all sessions.
class ConstantMatrix {
 public:
  static Result<std::shared_ptr<const ConstantMatrix>> make(const Tensor& weights, bool transposed,
                                                            const Tensor* bias,
                                                            const Fusion& fusion) {
    auto matrix = std::make_shared<ConstantMatrix>();
    matrix->columns = weights.dim(transposed ? 0 : 1);
    matrix->depth = weights.dim(transposed ? 1 : 0);
    const onednn::ThreadScope single(1);
    OCTET_ASSIGN(
        matrix->kernel,
        MatrixKernel::make(1, matrix->depth, matrix->columns, weights.data<float>(), transposed,
                           bias != nullptr ? bias->data<float>() : nullptr, fusion));
    return matrix;
  }

  Status run(MatrixState& state, std::int64_t rows, const float* in, float* out) const {
    for (const auto& entry : state.compiled) {
      if (entry.rows == rows) return entry.primitive->run(in, out);
    }
    OCTET_ASSIGN(auto primitive, kernel->primitive(rows));
    if (state.compiled.size() >= kept_primitives) state.compiled.erase(state.compiled.begin());
    state.compiled.push_back({rows, std::move(primitive)});
    return state.compiled.back().primitive->run(in, out);
  }

  std::int64_t depth = 0;
  std::int64_t columns = 0;
  std::shared_ptr<const MatrixKernel> kernel;
};

/// Shared parts of Gemm and MatMul.
class MatrixOp : public NodeOp {
 public:
  using NodeOp::NodeOp;
  std::unique_ptr<State> make_state() const override { return std::make_unique<MatrixState>(); }
  std::string kernel(const State* state) const override {
    const auto* matrix_state = dynamic_cast<const MatrixState*>(state);
    if (matrix_state == nullptr || matrix_state->compiled.empty()) return "onednn sgemm";
    return matrix_state->compiled.back().primitive->name();
  }
  std::int64_t macs(const Activation& output) const override {
    return constant_ != nullptr ? output.tensor.size() * constant_->depth : 0;
  }

 protected:
  Outputs run_constant(const Tensor& a, Shape out_shape, State* state) const {
    OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, std::move(out_shape)));
    if (out.size() == 0) return one_output(std::move(out));
    MatrixState local;
    auto* matrix_state = dynamic_cast<MatrixState*>(state);
    if (matrix_state == nullptr) matrix_state = &local;
    OCTET_TRY(constant_->run(*matrix_state, a.size() / constant_->depth, a.data<float>(),
                             out.mutable_data<float>()));
    return one_output(std::move(out));
  }

  std::shared_ptr<const ConstantMatrix> constant_;
};

/// Rank 2, f32, no extent 0: what oneDNN takes as weights.
bool usable_weights(const Tensor* weights) {
  return weights != nullptr && weights->dtype() == DType::f32 && weights->rank() == 2 &&
         weights->size() > 0;
}

class GemmOp : public MatrixOp {
 public:
  GemmOp(const OpSource& source, const Fusion& fusion)
      : MatrixOp(source),
        fusion_(fusion),
        alpha_(source.node.float_attribute("alpha", 1.0F)),
        beta_(source.node.float_attribute("beta", 1.0F)),
        transpose_a_(source.node.int_attribute("transA", 0) != 0),
        transpose_b_(source.node.int_attribute("transB", 0) != 0) {}

  Status prepare(const OpSource& source) {
    const Tensor* weights = source.constant(1);
    const Tensor* bias = source.constant(2);
    const bool has_bias = source.node.input(2) != ValueId::none;
    if (!usable_weights(weights) || alpha_ != 1.0F || transpose_a_) return {};
    if (has_bias && (bias == nullptr || bias->dtype() != DType::f32 || beta_ != 1.0F)) return {};
    const std::int64_t columns = weights->dim(transpose_b_ ? 0 : 1);
    if (has_bias) {
      const bool row = (bias->rank() == 1 && bias->dim(0) == columns) ||
                       (bias->rank() == 2 && bias->dim(0) == 1 && bias->dim(1) == columns);
      if (!row) return {};
    }
    OCTET_ASSIGN(constant_, ConstantMatrix::make(*weights, transpose_b_, bias, fusion_));
    return {};
  }

 protected:
  Outputs compute(Inputs inputs, State* state) const override {
    const Tensor& a = inputs[0]->tensor;
    const Tensor& b = inputs[1]->tensor;
    OCTET_TRY(require_f32(a, "input A"));
    OCTET_TRY(require_f32(b, "input B"));
    if (a.rank() != 2 || b.rank() != 2 ||
        a.dim(transpose_a_ ? 0 : 1) != b.dim(transpose_b_ ? 1 : 0)) {
      return bad_input("{}{} and {}{} do not multiply", to_string(a.shape()),
                       transpose_a_ ? " transposed" : "", to_string(b.shape()),
                       transpose_b_ ? " transposed" : "");
    }
    const std::int64_t m = a.dim(transpose_a_ ? 1 : 0);
    const std::int64_t n = b.dim(transpose_b_ ? 0 : 1);
    const std::int64_t k = a.dim(transpose_a_ ? 0 : 1);
    if (constant_ != nullptr) return run_constant(a, {m, n}, state);
    const bool has_c = inputs.size() > 2 && inputs[2] != nullptr;
    OCTET_ASSIGN(Tensor out,
                 has_c ? broadcast_c(inputs[2]->tensor, m, n) : new_tensor(DType::f32, {m, n}));
    // Without C the old contents must not count, not even as 0 * NaN.
    if (!has_c || k == 0) scale(out, has_c ? beta_ : 0.0F);
    if (k > 0) {
      OCTET_TRY(onednn::matrix_product(transpose_a_, transpose_b_, m, n, k, alpha_, a.data<float>(),
                                       b.data<float>(), has_c ? beta_ : 0.0F,
                                       out.mutable_data<float>()));
    }
    apply_fusion(fusion_, out);
    return one_output(std::move(out));
  }

 private:
  static void scale(Tensor& tensor, float factor) {
    float* values = tensor.mutable_data<float>();
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      values[i] = factor == 0.0F ? 0.0F : values[i] * factor;
    }
  }

  static Result<Tensor> broadcast_c(const Tensor& c, std::int64_t m, std::int64_t n) {
    OCTET_TRY(require_f32(c, "input C"));
    const Shape wanted{m, n};
    OCTET_ASSIGN(const auto plan, BroadcastPlan::make(c.shape(), wanted));
    if (plan.shape() != wanted) {
      return bad_input("C {} does not broadcast to {}", to_string(c.shape()), to_string(wanted));
    }
    OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, wanted));
    const float* from = c.data<float>();
    float* to = out.mutable_data<float>();
    plan.for_each_run(
        [&](std::int64_t offset, int step, std::int64_t, int, std::int64_t o, std::int64_t count) {
          for (std::int64_t i = 0; i < count; ++i) to[o + i] = from[offset + i * step];
        });
    return out;
  }

  Fusion fusion_;
  float alpha_;
  float beta_;
  bool transpose_a_;
  bool transpose_b_;
};

class MatMulOp : public MatrixOp {
 public:
  using MatrixOp::MatrixOp;

  Status prepare(const OpSource& source) {
    const Tensor* weights = source.constant(1);
    if (!usable_weights(weights)) return {};
    OCTET_ASSIGN(constant_, ConstantMatrix::make(*weights, false, nullptr, {}));
    return {};
  }

 protected:
  Outputs compute(Inputs inputs, State* state) const override {
    const Tensor a = to_plain(*inputs[0]).tensor;
    const Tensor b = to_plain(*inputs[1]).tensor;
    if (a.dtype() != b.dtype()) {
      return bad_input("inputs have types {} and {}, which must be equal", name(a.dtype()),
                       name(b.dtype()));
    }
    if (a.rank() == 0 || b.rank() == 0) return bad_input("a scalar has no matrix product");
    // A vector is a row on the left and a column on the right.
    Shape left = a.shape();
    Shape right = b.shape();
    if (a.rank() == 1) left.insert(left.begin(), 1);
    if (b.rank() == 1) right.push_back(1);
    const std::int64_t m = left[left.size() - 2];
    const std::int64_t k = left.back();
    const std::int64_t n = right.back();
    if (right[right.size() - 2] != k) {
      return bad_input("{} and {} do not multiply", to_string(a.shape()), to_string(b.shape()));
    }
    const Shape left_batch(left.begin(), left.end() - 2);
    const Shape right_batch(right.begin(), right.end() - 2);
    OCTET_ASSIGN(const auto batches, BroadcastPlan::make(left_batch, right_batch));
    Shape out_shape = batches.shape();
    if (a.rank() > 1) out_shape.push_back(m);
    if (b.rank() > 1) out_shape.push_back(n);
    if (constant_ != nullptr) return run_constant(a, std::move(out_shape), state);
    OCTET_ASSIGN(Tensor out, new_tensor(a.dtype(), std::move(out_shape)));
    OCTET_TRY(with_number(a.dtype(), [&]<class T>(T) {
      return multiply<T>(a, b, batches, {m, n, k}, out.mutable_data<T>());
    }));
    return one_output(std::move(out));
  }

 private:
  struct Extents {
    std::int64_t m, n, k;
  };

  /// f32 by oneDNN; other types term after term, where integers wrap.
  template <class T>
  static Status product(const Extents& e, const T* a, const T* b, T* out) {
    if constexpr (std::is_same_v<T, float>) {
      return onednn::matrix_product(false, false, e.m, e.n, e.k, 1.0F, a, b, 0.0F, out);
    } else {
      std::fill_n(out, e.m * e.n, T{0});
      for (std::int64_t i = 0; i < e.m; ++i, a += e.k, out += e.n) {
        for (std::int64_t l = 0; l < e.k; ++l) {
          for (std::int64_t j = 0; j < e.n; ++j) {
            out[j] = wrapping_add(out[j], wrapping_multiply(a[l], b[l * e.n + j]));
          }
        }
      }
      return {};
    }
  }

  template <class T>
  static Status multiply(const Tensor& a, const Tensor& b, const BroadcastPlan& batches,
                         const Extents& e, T* out) {
    const std::int64_t count = element_count(batches.shape());
    if (e.k == 0) std::fill_n(out, count * e.m * e.n, T{0});
    if (e.k == 0 || e.m == 0 || e.n == 0) return {};
    Status status;
    batches.for_each_run([&](std::int64_t ia, int a_step, std::int64_t ib, int b_step,
                             std::int64_t io, std::int64_t n) {
      for (std::int64_t i = 0; i < n && status; ++i) {
        status = product(e, a.data<T>() + (ia + i * a_step) * e.m * e.k,
                         b.data<T>() + (ib + i * b_step) * e.k * e.n, out + (io + i) * e.m * e.n);
      }
    });
    return status;
  }
};

MadeOp make_plain_gemm(const OpSource& source) { return make_gemm(source, {}); }

MadeOp make_matmul(const OpSource& source) {
  auto op = std::make_unique<MatMulOp>(source);
  OCTET_TRY(op->prepare(source));
  return op;
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Gemm", 2, 1, make_plain_gemm},
    {"MatMul", 2, 1, make_matmul},
});

}  // namespace

MadeOp make_gemm(const OpSource& source, const Fusion& fusion) {
  auto op = std::make_unique<GemmOp>(source, fusion);
  OCTET_TRY(op->prepare(source));
  return op;
}

std::span<const OpEntry> gemm_entries() { return entries; }

}  // namespace octet::float_engine
