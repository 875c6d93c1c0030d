// Gemm and MatMul: c = alpha * op(a) * op(b) + beta * bias, and its gradients
//   da = alpha * g * op(b)^T,  db = alpha * op(a)^T * g,  dbias = beta * column sums of g
// (transposed where op transposes). MatMul takes any ranks; its batches broadcast.

#include <array>
#include <set>

#include "engine/float/onednn.h"
#include "engine/gradient/gradient_op.h"

namespace octet::gradient {
namespace {

using float_engine::onednn::matrix_product;

/// One product of many: where its operands begin, and whether no product before it has the same
/// one, so that its gradient is not added to another's.
struct Operands {
  std::int64_t a = 0;
  std::int64_t b = 0;
  bool first_of_a = true;
  bool first_of_b = true;
};

struct Product {
  std::vector<Operands> batches = {{}};
  std::int64_t rows = 0;
  std::int64_t depth = 0;
  std::int64_t columns = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  float alpha = 1;
  float beta = 1;
  std::int64_t bias = 0;  ///< elements: 0 (none), 1 or columns; of a single product
};

class ProductGradient : public GradientOp {
 public:
  explicit ProductGradient(Product product) : p_(std::move(product)) {}

  Status forward(const ForwardCall& call) const override {
    const float* bias = p_.bias > 0 ? call.inputs[2] : nullptr;
    if (bias != nullptr) fill_bias(bias, call.output);
    float* output = call.output;
    for (const auto& batch : p_.batches) {
      OCTET_TRY(matrix_product(p_.transpose_a, p_.transpose_b, p_.rows, p_.columns, p_.depth,
                               p_.alpha, call.inputs[0] + batch.a, call.inputs[1] + batch.b,
                               bias != nullptr ? 1.0F : 0.0F, output));
      output += p_.rows * p_.columns;
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    const float* g = call.output_gradient;
    for (const auto& batch : p_.batches) {
      OCTET_TRY(backward_one(call, batch, g));
      g += p_.rows * p_.columns;
    }
    if (call.input_gradients.size() > 2) bias_gradient(call);
    return {};
  }

 private:
  void fill_bias(const float* bias, float* output) const {
    for (std::int64_t r = 0; r < p_.rows; ++r) {
      for (std::int64_t c = 0; c < p_.columns; ++c) {
        output[r * p_.columns + c] = p_.beta * bias[p_.bias == 1 ? 0 : c];
      }
    }
  }

  Status backward_one(const BackwardCall& call, const Operands& batch, const float* g) const {
    const float* a = call.inputs[0] + batch.a;
    const float* b = call.inputs[1] + batch.b;
    if (const Target& to = call.input_gradients[0]) {
      float* out = to.data + batch.a;
      const float keep = to.add || !batch.first_of_a ? 1.0F : 0.0F;
      // The gradient of op(a) is g * op(b)^T; that of a itself is its transpose.
      OCTET_TRY(p_.transpose_a ? matrix_product(p_.transpose_b, true, p_.depth, p_.rows, p_.columns,
                                                p_.alpha, b, g, keep, out)
                               : matrix_product(false, !p_.transpose_b, p_.rows, p_.depth,
                                                p_.columns, p_.alpha, g, b, keep, out));
    }
    if (const Target& to = call.input_gradients[1]) {
      float* out = to.data + batch.b;
      const float keep = to.add || !batch.first_of_b ? 1.0F : 0.0F;
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
    for (std::int64_t r = 0; r < p_.rows; ++r) {
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
  return std::make_unique<ProductGradient>(std::move(p));
}

/// For each batch of a product, in order, where that of an operand begins. `batches`: extents of
/// the result's batches, `own`: the operand's, which broadcast to them.
std::vector<std::int64_t> batch_offsets(const Shape& batches, const Shape& own,
                                        std::int64_t matrix) {
  std::vector<std::int64_t> offsets = {0};
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto missing = batches.size() - own.size();
    const auto extent = i < missing ? 1 : own[i - missing];
    std::vector<std::int64_t> finer;
    for (const auto offset : offsets) {
      for (std::int64_t k = 0; k < batches[i]; ++k) {
        finer.push_back(offset * extent + (extent == 1 ? 0 : k));
      }
    }
    offsets = std::move(finer);
  }
  for (auto& offset : offsets) offset *= matrix;
  return offsets;
}

Shape without_matrix(const Shape& shape) { return {shape.begin(), shape.end() - 2}; }

MadeOp make_matmul(const OpSource& source) {
  Shape a = source.inputs[0];
  Shape b = source.inputs[1];
  Shape out = source.output;
  if (a.empty() || b.empty()) return bad_input("a product with a scalar");
  // A vector is a matrix of one row on the left, of one column on the right.
  if (a.size() == 1) {
    a.insert(a.begin(), 1);
    out.insert(source.inputs[1].size() == 1 ? out.end() : out.end() - 1, 1);
  }
  if (b.size() == 1) {
    b.push_back(1);
    out.push_back(1);
  }
  Product p;
  p.depth = a.back();
  p.columns = b.back();
  if (element_count(b) == p.depth * p.columns) {
    p.rows = element_count(a) / p.depth;
  } else {
    p.rows = a[a.size() - 2];
    const Shape batches = without_matrix(out);
    const auto of_a = batch_offsets(batches, without_matrix(a), p.rows * p.depth);
    const auto of_b = batch_offsets(batches, without_matrix(b), p.depth * p.columns);
    std::set<std::int64_t> seen_a, seen_b;
    p.batches.clear();
    for (std::size_t i = 0; i < of_a.size(); ++i) {
      p.batches.push_back(
          {of_a[i], of_b[i], seen_a.insert(of_a[i]).second, seen_b.insert(of_b[i]).second});
    }
  }
  return in_row_major(source, std::make_unique<ProductGradient>(std::move(p)));
}

constexpr auto entries = std::to_array<OpEntry>({{"Gemm", make_gemm}, {"MatMul", make_matmul}});

}  // namespace

std::span<const OpEntry> product_entries() { return entries; }

}  // namespace octet::gradient
