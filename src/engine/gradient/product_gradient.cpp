// Gemm and MatMul: c = alpha * op(a) * op(b) + beta * bias, and its gradients
//   da = alpha * g * op(b)^T,  db = alpha * op(a)^T * g,  dbias = beta * column sums of g
// (transposed where op transposes). MatMul may be batched; a two-dimensional b serves all batches.

#include <array>

#include "engine/float/onednn.h"
#include "engine/gradient/gradient_op.h"

namespace octet::gradient {
namespace {

using float_engine::onednn::matrix_product;

struct Product {
  std::int64_t batches = 1;  ///< products of their own b
  std::int64_t rows = 0;
  std::int64_t depth = 0;
  std::int64_t columns = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  float alpha = 1;
  float beta = 1;
  std::int64_t bias = 0;  ///< elements: 0 (none), 1 or columns
};

class ProductGradient : public GradientOp {
 public:
  explicit ProductGradient(const Product& product) : p_(product) {}

  Status forward(const ForwardCall& call) const override {
    const float* bias = p_.bias > 0 ? call.inputs[2] : nullptr;
    if (bias != nullptr) fill_bias(bias, call.output);
    for (std::int64_t i = 0; i < p_.batches; ++i) {
      OCTET_TRY(matrix_product(
          p_.transpose_a, p_.transpose_b, p_.rows, p_.columns, p_.depth, p_.alpha,
          call.inputs[0] + i * p_.rows * p_.depth, call.inputs[1] + i * p_.depth * p_.columns,
          bias != nullptr ? 1.0F : 0.0F, call.output + i * p_.rows * p_.columns));
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    for (std::int64_t i = 0; i < p_.batches; ++i) OCTET_TRY(backward_one(call, i));
    if (call.input_gradients.size() > 2) bias_gradient(call);
    return {};
  }

 private:
  void fill_bias(const float* bias, float* output) const {
    for (std::int64_t r = 0; r < p_.batches * p_.rows; ++r) {
      for (std::int64_t c = 0; c < p_.columns; ++c) {
        output[r * p_.columns + c] = p_.beta * bias[p_.bias == 1 ? 0 : c];
      }
    }
  }

  Status backward_one(const BackwardCall& call, std::int64_t i) const {
    const float* a = call.inputs[0] + i * p_.rows * p_.depth;
    const float* b = call.inputs[1] + i * p_.depth * p_.columns;
    const float* g = call.output_gradient + i * p_.rows * p_.columns;
    if (const Target& to = call.input_gradients[0]) {
      float* out = to.data + i * p_.rows * p_.depth;
      const float keep = to.add ? 1.0F : 0.0F;
      // The gradient of op(a) is g * op(b)^T; that of a itself is its transpose.
      OCTET_TRY(p_.transpose_a ? matrix_product(p_.transpose_b, true, p_.depth, p_.rows, p_.columns,
                                                p_.alpha, b, g, keep, out)
                               : matrix_product(false, !p_.transpose_b, p_.rows, p_.depth,
                                                p_.columns, p_.alpha, g, b, keep, out));
    }
    if (const Target& to = call.input_gradients[1]) {
      float* out = to.data + i * p_.depth * p_.columns;
      const float keep = to.add ? 1.0F : 0.0F;
      OCTET_TRY(p_.transpose_b ? matrix_product(true, p_.transpose_a, p_.columns, p_.depth, p_.rows,
                                                p_.alpha, g, a, keep, out)
                               : matrix_product(!p_.transpose_a, false, p_.depth, p_.columns,
                                                p_.rows, p_.alpha, a, g, keep, out));
    }
    return {};
  }

  void bias_gradient(const BackwardCall& call) const {
    const Target& to = call.input_gradients[2];
    if (!to) return;
    std::vector<float> sums(static_cast<std::size_t>(p_.bias), 0.0F);
    for (std::int64_t r = 0; r < p_.batches * p_.rows; ++r) {
      for (std::int64_t c = 0; c < p_.columns; ++c) {
        sums[static_cast<std::size_t>(p_.bias == 1 ? 0 : c)] +=
            p_.beta * call.output_gradient[r * p_.columns + c];
      }
    }
    deliver(to, sums.data(), p_.bias);
  }

  Product p_;
};

MadeOp make_gemm(const OpSource& source) {
  Product p;
  p.transpose_a = source.node.int_attribute("transA", 0) != 0;
  p.transpose_b = source.node.int_attribute("transB", 0) != 0;
  p.alpha = source.node.float_attribute("alpha", 1);
  p.beta = source.node.float_attribute("beta", 1);
  p.rows = source.output[0];
  p.columns = source.output[1];
  p.depth = source.inputs[0][p.transpose_a ? 0 : 1];
  if (source.has(2)) {
    p.bias = element_count(source.inputs[2]);
    const bool row = p.bias == 1 || (p.bias == p.columns && source.inputs[2].back() == p.columns);
    if (!row) return bad_input("its third input {} is no row", to_string(source.inputs[2]));
  }
  return std::make_unique<ProductGradient>(p);
}

MadeOp make_matmul(const OpSource& source) {
  const Shape& a = source.inputs[0];
  const Shape& b = source.inputs[1];
  if (a.size() < 2 || b.size() < 2) return bad_input("octet does not train products of vectors");
  // Row-major order is what matrices need; a computed value of rank 4 lies otherwise.
  if ((a.size() == 4 && !source.parameters[0]) || (b.size() == 4 && !source.parameters[1])) {
    return bad_input("octet does not train products of values of rank 4");
  }
  Product p;
  p.depth = a.back();
  p.columns = b.back();
  const bool shared = element_count(b) == p.depth * p.columns;
  p.batches = shared ? 1 : element_count(b) / (p.depth * p.columns);
  p.rows = element_count(a) / p.depth / p.batches;
  const bool alike = shared || Shape(a.begin(), a.end() - 2) == Shape(b.begin(), b.end() - 2);
  if (!alike) return bad_input("octet does not train products that broadcast");
  return std::make_unique<ProductGradient>(p);
}

constexpr auto entries = std::to_array<OpEntry>({{"Gemm", make_gemm}, {"MatMul", make_matmul}});

}  // namespace

std::span<const OpEntry> product_entries() { return entries; }

}  // namespace octet::gradient
