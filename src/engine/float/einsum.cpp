// Einsum: as one batched matrix product where the equation allows, else index by index.

#include <algorithm>
#include <array>

#include "engine/float/element_types.h"
#include "engine/float/onednn.h"
#include "engine/float/ops.h"
#include "graph/einsum.h"

namespace octet::float_engine {
namespace {

/// One index of the sum: a letter, or one dimension of the ellipsis.
struct Label {
  std::int64_t extent = 1;
  std::vector<std::int64_t> steps;  ///< of each operand; 0 where it does not have the label
  bool in_output = false;
};

/// The operands as labels: those of the result first, in its order.
struct Sum {
  std::vector<Label> labels;
  std::size_t output_labels = 0;
};

/// Adds to the step of one operand's label; a repeated letter ("ii") walks the diagonal.
class SumBuilder {
 public:
  SumBuilder(const EinsumEquation& equation, const EinsumExtents& extents, std::size_t operands)
      : equation_(equation), extents_(extents), operands_(operands) {
    add_labels(equation.output, true);
    sum_.output_labels = sum_.labels.size();
    for (const auto& term : equation.inputs) add_labels(term, false);
  }

  Sum build(const std::vector<Tensor>& inputs) {
    for (std::size_t i = 0; i < inputs.size(); ++i) add_steps(i, inputs[i].shape());
    return std::move(sum_);
  }

 private:
  [[nodiscard]] std::size_t ellipsis_rank() const { return extents_.ellipsis.size(); }

  void add_labels(const EinsumTerm& term, bool in_output) {
    for (const char c : term) {
      const auto letter = static_cast<std::size_t>(c);
      if (first_[letter] >= 0) continue;
      first_[letter] = static_cast<int>(sum_.labels.size());
      if (c != einsum_ellipsis) {
        add_label(extents_.letters[letter], in_output);
      } else {
        for (const auto extent : extents_.ellipsis) add_label(extent, in_output);
      }
    }
  }

  void add_label(std::int64_t extent, bool in_output) {
    sum_.labels.push_back({extent, std::vector<std::int64_t>(operands_, 0), in_output});
  }

  void add_steps(std::size_t operand, const Shape& shape) {
    const auto strides = row_major_strides(shape);
    const auto& term = equation_.inputs[operand];
    const bool has_ellipsis = term.find(einsum_ellipsis) != EinsumTerm::npos;
    const std::size_t own = shape.size() - (term.size() - (has_ellipsis ? 1 : 0));
    std::size_t d = 0;
    const auto add = [&](std::size_t label) {
      // An extent of 1 is repeated.
      if (shape[d] != 1) sum_.labels[label].steps[operand] += strides[d];
      ++d;
    };
    for (const char c : term) {
      const auto first = static_cast<std::size_t>(first_[static_cast<std::size_t>(c)]);
      if (c != einsum_ellipsis) {
        add(first);
        continue;
      }
      // Its dimensions align at the right.
      for (std::size_t k = 0; k < own; ++k) add(first + ellipsis_rank() - own + k);
    }
  }

  const EinsumEquation& equation_;
  const EinsumExtents& extents_;
  std::size_t operands_;
  std::array<int, 128> first_ = [] {
    std::array<int, 128> none{};
    none.fill(-1);
    return none;
  }();
  Sum sum_;
};

/// Steps an index over labels and the operands' offsets with it.
class Odometer {
 public:
  Odometer(std::vector<const Label*> labels, std::size_t operands)
      : labels_(std::move(labels)), index_(labels_.size(), 0), offsets_(operands, 0) {}

  [[nodiscard]] const std::vector<std::int64_t>& offsets() const { return offsets_; }

  /// False after the last index; then back at the first.
  bool advance() {
    for (std::size_t d = labels_.size(); d-- > 0;) {
      const Label& label = *labels_[d];
      const bool carries = ++index_[d] == label.extent;
      const std::int64_t by = carries ? 1 - label.extent : 1;
      for (std::size_t i = 0; i < offsets_.size(); ++i) offsets_[i] += by * label.steps[i];
      if (!carries) return true;
      index_[d] = 0;
    }
    return false;
  }

 private:
  std::vector<const Label*> labels_;
  std::vector<std::int64_t> index_;
  std::vector<std::int64_t> offsets_;
};

/// Result elements times summed ones, as a bound for what a file can ask of the slow loop.
Status check_work(const Sum& sum) {
  constexpr std::int64_t limit = std::int64_t{1} << 34;
  std::int64_t work = 1;
  for (const auto& label : sum.labels) {
    if (label.extent == 0) return {};
  }
  for (const auto& label : sum.labels) {
    if (__builtin_mul_overflow(work, label.extent, &work) || work > limit) {
      return bad_input("the equation needs more than {} products, which is not supported", limit);
    }
  }
  return {};
}

/// Products of all operands, summed over the labels that the result does not have.
template <class T>
void sum_by_index(const Sum& sum, const std::vector<Tensor>& inputs, Tensor& out) {
  using Total = std::conditional_t<std::is_floating_point_v<T>, double, T>;
  std::vector<const Label*> outer;
  std::vector<const Label*> inner;
  bool nothing = false;
  for (const auto& label : sum.labels) {
    (label.in_output ? outer : inner).push_back(&label);
    nothing = nothing || label.extent == 0;
  }
  T* to = out.mutable_data<T>();
  if (nothing) {
    std::fill_n(to, out.size(), T{0});
    return;
  }
  Odometer target(outer, inputs.size());
  Odometer term(inner, inputs.size());
  for (std::int64_t o = 0; o < out.size(); ++o) {
    Total total{0};
    do {
      Total product{1};
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const T x = inputs[i].data<T>()[target.offsets()[i] + term.offsets()[i]];
        product = wrapping_multiply(product, static_cast<Total>(x));
      }
      total = wrapping_add(total, product);
    } while (term.advance());
    to[o] = static_cast<T>(total);
    (void)target.advance();
  }
}

/// Two operands of a batched matrix product: every label is of the batch (both operands and the
/// result), a row (only the first), a column (only the second) or summed (both operands only).
struct Product {
  std::vector<const Label*> batch, rows, columns, depth;
};

std::optional<Product> as_product(const Sum& sum) {
  Product product;
  for (const auto& label : sum.labels) {
    const bool left = label.steps[0] != 0;
    const bool right = label.steps[1] != 0;
    if (label.extent == 0) return std::nullopt;
    if (label.extent == 1) continue;
    if (!left && !right) return std::nullopt;
    if (label.in_output) {
      (left && right ? product.batch : left ? product.rows : product.columns).push_back(&label);
    } else if (left && right) {
      product.depth.push_back(&label);
    } else {
      return std::nullopt;
    }
  }
  return product;
}

std::int64_t extent_of(const std::vector<const Label*>& labels) {
  std::int64_t extent = 1;
  for (const auto* label : labels) extent *= label->extent;
  return extent;
}

/// The operand's elements in the order of `labels`, dense.
Result<Tensor> gather(const Tensor& x, std::size_t operand,
                      const std::vector<const Label*>& labels) {
  Shape shape;
  std::vector<std::int64_t> steps;
  for (const auto* label : labels) {
    shape.push_back(label->extent);
    steps.push_back(label->steps[operand]);
  }
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, shape));
  copy_strided(x.raw(), steps, out.mutable_raw(), shape, sizeof(float));
  return out;
}

std::vector<const Label*> join(std::initializer_list<std::vector<const Label*>> parts) {
  std::vector<const Label*> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// result[batch, rows, columns] in the order of the output's labels.
Result<Tensor> order_result(const Tensor& product, const Sum& sum,
                            const std::vector<const Label*>& order, Shape shape) {
  std::vector<std::int64_t> steps(sum.output_labels, 0);
  std::int64_t step = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    steps[static_cast<std::size_t>(order[i] - sum.labels.data())] = step;
    step *= order[i]->extent;
  }
  Shape extents;
  for (std::size_t i = 0; i < sum.output_labels; ++i) extents.push_back(sum.labels[i].extent);
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, std::move(shape)));
  copy_strided(product.raw(), steps, out.mutable_raw(), extents, sizeof(float));
  return out;
}

Outputs multiply(const Sum& sum, const Product& product, const std::vector<Tensor>& inputs,
                 const Shape& shape) {
  OCTET_ASSIGN(const Tensor a,
               gather(inputs[0], 0, join({product.batch, product.rows, product.depth})));
  OCTET_ASSIGN(const Tensor b,
               gather(inputs[1], 1, join({product.batch, product.depth, product.columns})));
  const std::int64_t batch = extent_of(product.batch);
  const std::int64_t m = extent_of(product.rows);
  const std::int64_t n = extent_of(product.columns);
  const std::int64_t k = extent_of(product.depth);
  OCTET_ASSIGN(Tensor result, new_tensor(DType::f32, {batch, m, n}));
  float* to = result.mutable_data<float>();
  for (std::int64_t i = 0; i < batch; ++i) {
    OCTET_TRY(onednn::matrix_product(false, false, m, n, k, 1.0F, a.data<float>() + i * m * k,
                                     b.data<float>() + i * k * n, 0.0F, to + i * m * n));
  }
  OCTET_ASSIGN(
      Tensor out,
      order_result(result, sum, join({product.batch, product.rows, product.columns}), shape));
  return one_output(std::move(out));
}

Outputs run_einsum(const std::string& text, Inputs inputs) {
  OCTET_ASSIGN(const auto equation, parse_einsum(text, inputs.size()));
  std::vector<Tensor> tensors;
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) return bad_input("input {} is missing", i);
    tensors.push_back(inputs[i]->tensor);
    shapes.push_back(inputs[i]->tensor.shape());
    if (tensors.back().dtype() != tensors.front().dtype()) {
      return bad_input("operands have types {} and {}, which must be equal",
                       name(tensors.front().dtype()), name(tensors.back().dtype()));
    }
  }
  OCTET_ASSIGN(const auto extents, resolve_einsum(equation, shapes));
  const Sum sum = SumBuilder(equation, extents, tensors.size()).build(tensors);
  const DType dtype = tensors.front().dtype();
  if (tensors.size() == 2 && dtype == DType::f32) {
    if (const auto product = as_product(sum)) {
      return multiply(sum, *product, tensors, extents.output);
    }
  }
  OCTET_TRY(check_work(sum));
  OCTET_ASSIGN(Tensor out, new_tensor(dtype, extents.output));
  OCTET_TRY(with_number(dtype, [&]<class T>(T) -> Status {
    sum_by_index<T>(sum, tensors, out);
    return {};
  }));
  return one_output(std::move(out));
}

MadeOp make_einsum(const OpSource& source) {
  const auto equation = source.node.string_attribute("equation", "");
  OCTET_TRY(parse_einsum(equation, source.node.inputs.size()));
  return make_function(source, InputOrder::plain,
                       [equation](Inputs inputs) { return run_einsum(equation, inputs); });
}

constexpr auto entries = std::to_array<OpEntry>({{"Einsum", 1, 1, make_einsum}});

}  // namespace

std::span<const OpEntry> einsum_entries() { return entries; }

}  // namespace octet::float_engine
