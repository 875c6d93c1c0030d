// ConvTranspose, and Conv in three and more spatial dimensions: matrix products with columns.

#include "engine/float/columns.h"

#include <array>
#include <cstring>

#include "engine/float/onednn.h"
#include "engine/float/ops.h"
#include "engine/float/parallel_work.h"

namespace octet::float_engine {
namespace {

/// Elements of the columns that one task holds, where a single row or channel is not more already.
constexpr std::int64_t column_elements = std::int64_t{1} << 18;

/// Calls fn(i) for i in [0, count), perhaps from several threads, each with oneDNN on one thread:
/// its sums could otherwise depend on their number. The first error by index wins.
template <class Fn>
Status parallel_tasks(std::int64_t count, std::int64_t work, const Fn& fn) {
  std::vector<Status> results(static_cast<std::size_t>(count));
  parallel_work(count, work, [&](std::int64_t i) {
    const onednn::ThreadScope single(1);
    results[static_cast<std::size_t>(i)] = fn(i);
  });
  for (auto& result : results) OCTET_TRY(std::move(result));
  return {};
}

Status check_bias(const Tensor* bias, std::int64_t channels) {
  if (bias == nullptr) return {};
  OCTET_TRY(require_f32(*bias, "its bias"));
  if (bias->size() == channels) return {};
  return bad_input("bias {} does not fit {} output channels", to_string(bias->shape()), channels);
}

void apply(const Fusion& fusion, float* values, std::int64_t count) {
  if (fusion.kind == Fusion::Kind::none) return;
  const bool relu = fusion.kind == Fusion::Kind::relu;
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] =
        relu ? std::max(values[i], 0.0F) : std::min(std::max(values[i], fusion.low), fusion.high);
  }
}

/// What one product of a Conv works on.
struct ConvTask {
  ColumnWalk walk;  ///< over its rows of the output
  std::int64_t channels = 1;
  std::int64_t outputs = 1;
  const float* image = nullptr;   ///< [channels, image]
  const float* weight = nullptr;  ///< [outputs, channels, taps]
  const float* bias = nullptr;    ///< [outputs] or nullptr
  float* out = nullptr;           ///< first row of the first output channel
  std::int64_t out_step = 0;      ///< from one output channel to the next
};

Status run_task(const ConvTask& task, const Fusion& fusion) {
  const std::int64_t grid = element_count(task.walk.grid);
  const std::int64_t image = element_count(task.walk.image);
  const std::int64_t taps = task.walk.taps();
  OCTET_ASSIGN(Tensor columns, Tensor::create(DType::f32, {task.channels * taps, grid}));
  OCTET_ASSIGN(Tensor product, Tensor::create(DType::f32, {task.outputs, grid}));
  float* to = columns.mutable_data<float>();
  std::fill_n(to, columns.size(), 0.0F);
  task.walk.for_each_run([&](std::int64_t tap, std::int64_t from, std::int64_t step,
                             std::int64_t at, std::int64_t count) {
    for (std::int64_t c = 0; c < task.channels; ++c) {
      const float* x = task.image + c * image + from;
      float* column = to + (c * taps + tap) * grid + at;
      for (std::int64_t i = 0; i < count; ++i) column[i] = x[i * step];
    }
  });
  float* y = product.mutable_data<float>();
  OCTET_TRY(onednn::matrix_product(false, false, task.outputs, grid, task.channels * taps, 1.0F,
                                   task.weight, columns.data<float>(), 0.0F, y));
  for (std::int64_t m = 0; m < task.outputs; ++m) {
    const float add = task.bias != nullptr ? task.bias[m] : 0.0F;
    float* row = task.out + m * task.out_step;
    for (std::int64_t i = 0; i < grid; ++i) row[i] = y[m * grid + i] + add;
    apply(fusion, row, grid);
  }
  return {};
}

class ConvTransposeOp : public NodeOp {
 public:
  explicit ConvTransposeOp(const OpSource& source) : NodeOp(source) {
    node_.op = source.node.op;
    node_.attributes = source.node.attributes;
    if (const Tensor* weight = source.constant(1); weight != nullptr && valid(*weight)) {
      auto made = transposed(*weight);
      if (made) transposed_ = std::move(*made);
    }
  }

  std::string kernel(const State*) const override { return "columns"; }

 protected:
  Outputs compute(Inputs inputs, State*) const override {
    const Tensor x = to_plain(*inputs[0]).tensor;
    const Tensor weight = to_plain(*inputs[1]).tensor;
    const Tensor* bias = inputs.size() > 2 && inputs[2] != nullptr ? &inputs[2]->tensor : nullptr;
    OCTET_TRY(require_f32(x, "its input"));
    OCTET_TRY(require_f32(weight, "its weight"));
    OCTET_ASSIGN(const auto geometry, resolve_conv_transpose(node_, x.shape(), weight.shape()));
    if (!valid(weight) || weight.dim(0) != x.dim(1)) {
      return bad_input("weight {} with {} groups does not fit input {}", to_string(weight.shape()),
                       groups(), to_string(x.shape()));
    }
    const std::int64_t channels = weight.dim(1) * groups();
    OCTET_TRY(check_bias(bias, channels));
    Shape shape{x.dim(0), channels};
    shape.insert(shape.end(), geometry.output.begin(), geometry.output.end());
    OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, std::move(shape)));
    if (out.size() == 0) return one_output(std::move(out));
    Tensor matrix = transposed_;
    if (matrix.empty()) {
      OCTET_ASSIGN(matrix, transposed(weight));
    }
    const ColumnWalk walk(geometry, geometry.output, Shape(x.shape().begin() + 2, x.shape().end()));
    OCTET_TRY(scatter(walk, x, matrix, bias, out));
    return one_output(std::move(out));
  }

 private:
  [[nodiscard]] std::int64_t groups() const { return node_.int_attribute("group", 1); }
  [[nodiscard]] bool valid(const Tensor& weight) const {
    return weight.dtype() == DType::f32 && weight.rank() >= 3 && groups() >= 1 &&
           weight.dim(0) % groups() == 0 && weight.size() > 0 &&
           weight.dim(1) <= (std::int64_t{1} << 40) / groups();
  }

  /// [groups, outputs / groups * taps, inputs / groups] of [inputs, outputs / groups, taps].
  Result<Tensor> transposed(const Tensor& weight) const {
    const std::int64_t rows = weight.dim(0) / groups();
    const std::int64_t columns = weight.size() / weight.dim(0);
    OCTET_ASSIGN(Tensor out, Tensor::create(DType::f32, {groups(), columns, rows}));
    float* to = out.mutable_data<float>();
    for (std::int64_t g = 0; g < groups(); ++g) {
      transpose_matrix(weight.data<float>() + g * rows * columns, to + g * rows * columns, rows,
                       columns);
    }
    return out;
  }

  /// Each task computes some output channels of one group of one image: their columns by a matrix
  /// product, then the sums of those that meet.
  Status scatter(const ColumnWalk& walk, const Tensor& x, const Tensor& matrix, const Tensor* bias,
                 Tensor& out) const {
    const std::int64_t taps = walk.taps();
    const std::int64_t grid = element_count(walk.grid);
    const std::int64_t image = element_count(walk.image);
    const std::int64_t in = matrix.dim(2);
    const std::int64_t outputs = matrix.dim(1) / taps;
    const std::int64_t block = std::clamp<std::int64_t>(
        column_elements / std::max<std::int64_t>(taps * grid, 1), 1, outputs);
    const std::int64_t blocks = (outputs + block - 1) / block;
    float* const results = out.mutable_data<float>();
    const std::int64_t tasks = x.dim(0) * groups() * blocks;
    return parallel_tasks(tasks, x.size() * outputs * taps, [&](std::int64_t task) -> Status {
      const std::int64_t n = task / blocks / groups();
      const std::int64_t g = task / blocks % groups();
      const std::int64_t first = task % blocks * block;
      const std::int64_t count = std::min(block, outputs - first);
      const std::int64_t channel = g * outputs + first;
      float* y = results + (n * groups() * outputs + channel) * image;
      for (std::int64_t m = 0; m < count; ++m) {
        std::fill_n(y + m * image, image,
                    bias != nullptr ? bias->data<float>()[channel + m] : 0.0F);
      }
      OCTET_ASSIGN(Tensor columns, Tensor::create(DType::f32, {count * taps, grid}));
      float* products = columns.mutable_data<float>();
      OCTET_TRY(onednn::matrix_product(false, false, count * taps, grid, in, 1.0F,
                                       matrix.data<float>() + (g * outputs + first) * taps * in,
                                       x.data<float>() + (n * groups() + g) * in * grid, 0.0F,
                                       products));
      walk.for_each_run([&](std::int64_t tap, std::int64_t to, std::int64_t step, std::int64_t at,
                            std::int64_t run) {
        for (std::int64_t m = 0; m < count; ++m) {
          const float* column = products + (m * taps + tap) * grid + at;
          float* target = y + m * image + to;
          for (std::int64_t i = 0; i < run; ++i) target[i * step] += column[i];
        }
      });
      return {};
    });
  }

  Node node_;
  Tensor transposed_;  ///< of a constant weight
};

MadeOp make_conv_transpose(const OpSource& source) {
  return std::make_unique<ConvTransposeOp>(source);
}

constexpr auto entries = std::to_array<OpEntry>({{"ConvTranspose", 2, 1, make_conv_transpose}});

}  // namespace

Outputs convolve_columns(const Node& node, const Tensor& x, const Tensor& weight,
                         const Tensor* bias, const Fusion& fusion) {
  OCTET_TRY(require_f32(x, "its input"));
  OCTET_TRY(require_f32(weight, "its weight"));
  OCTET_ASSIGN(const auto geometry, resolve_conv(node, x.shape(), weight.shape()));
  const std::int64_t groups = node.int_attribute("group", 1);
  if (groups < 1 || weight.dim(0) % groups != 0 || weight.dim(0) < groups || weight.dim(1) < 1 ||
      x.dim(1) % groups != 0 || x.dim(1) / groups != weight.dim(1)) {
    return bad_input("weight {} with {} groups does not fit input {}", to_string(weight.shape()),
                     groups, to_string(x.shape()));
  }
  OCTET_TRY(check_bias(bias, weight.dim(0)));
  Shape shape{x.dim(0), weight.dim(0)};
  shape.insert(shape.end(), geometry.output.begin(), geometry.output.end());
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, std::move(shape)));
  if (out.size() == 0) return one_output(std::move(out));

  const ColumnWalk walk(geometry, Shape(x.shape().begin() + 2, x.shape().end()), geometry.output);
  const std::int64_t image = element_count(walk.image);
  const std::int64_t grid = element_count(walk.grid);
  const std::int64_t row = grid / walk.grid[0];
  const std::int64_t channels = weight.dim(1);
  const std::int64_t outputs = weight.dim(0) / groups;
  const std::int64_t rows =
      std::clamp<std::int64_t>(column_elements / (channels * walk.taps() * row), 1, walk.grid[0]);
  const std::int64_t parts = (walk.grid[0] + rows - 1) / rows;
  float* const results = out.mutable_data<float>();
  const std::int64_t tasks = x.dim(0) * groups * parts;
  OCTET_TRY(parallel_tasks(tasks, out.size() * channels * walk.taps(), [&](std::int64_t task) {
    const std::int64_t n = task / parts / groups;
    const std::int64_t g = task / parts % groups;
    const std::int64_t first = task % parts * rows;
    return run_task({walk.part(first, std::min(rows, walk.grid[0] - first)), channels, outputs,
                     x.data<float>() + (n * groups + g) * channels * image,
                     weight.data<float>() + g * outputs * channels * walk.taps(),
                     bias != nullptr ? bias->data<float>() + g * outputs : nullptr,
                     results + (n * groups + g) * outputs * grid + first * row, grid},
                    fusion);
  }));
  return one_output(std::move(out));
}

std::span<const OpEntry> transposed_convolution_entries() { return entries; }

}  // namespace octet::float_engine
