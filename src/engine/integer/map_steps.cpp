// Nodes that pick elements of their first input: Gather, and any mover of the float engine.

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/float/buffer_pool.h"
#include "engine/integer/step.h"

namespace octet::integer {
namespace {

std::size_t at(int buffer) { return static_cast<std::size_t>(buffer); }

class GatherStep final : public Step {
 public:
  GatherStep(NodeId id, std::int64_t axis, int input, int indices, int output)
      : Step(id, {input, indices}, {output}), axis_(axis) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    const Shape& in = shapes[at(inputs[0])].shape;
    OCTET_ASSIGN(const int axis, normalize_axis(axis_, in.size()));
    const std::int64_t extent = in[at(axis)];
    const auto part = [&](int first, std::size_t last) {
      return std::accumulate(in.begin() + first, in.begin() + static_cast<std::ptrdiff_t>(last),
                             std::int64_t{1}, std::multiplies<>());
    };
    const std::int64_t outer = part(0, at(axis));
    const std::int64_t inner = part(axis + 1, in.size());
    const std::int64_t count = element_count(shapes[at(outputs[0])].shape);
    BoundStep bound;
    bound.run = [this, extent, outer, inner, count](RunContext& context) -> Status {
      OCTET_ASSIGN(const auto indices, to_int64(context.floats[at(inputs[1])].tensor));
      if (outer * inner * static_cast<std::int64_t>(indices.size()) != count) {
        return bad_input("{} indices do not give {} elements", indices.size(), count);
      }
      const auto* from = context.codes[at(inputs[0])];
      auto* to = context.codes[at(outputs[0])];
      for (std::int64_t o = 0; o < outer; ++o, from += extent * inner) {
        for (const auto index : indices) {
          if (index < -extent || index >= extent) {
            return bad_input("index {} is out of range for an extent of {}", index, extent);
          }
          const std::int64_t row = index < 0 ? index + extent : index;
          std::memcpy(to, from + row * inner, static_cast<std::size_t>(inner));
          to += inner;
        }
      }
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override { return "u8_gather_any_any_1"; }

 private:
  std::int64_t axis_;
};

/// Where each run of `length` output bytes comes from.
struct RunMap {
  std::vector<std::int64_t> from;
  std::int64_t length = 1;
};

/// Joins neighbours: the longest length that divides all stretches without a jump.
RunMap compress(const std::vector<std::int64_t>& from) {
  RunMap map;
  const auto count = static_cast<std::int64_t>(from.size());
  std::int64_t length = count;
  for (std::int64_t i = 1; i < count && length > 1; ++i) {
    const auto here = static_cast<std::size_t>(i);
    if (from[here] != from[here - 1] + 1) length = std::gcd(length, i);
  }
  map.length = std::max<std::int64_t>(length, 1);
  for (std::int64_t i = 0; i < count; i += map.length) {
    map.from.push_back(from[static_cast<std::size_t>(i)]);
  }
  return map;
}

/// Runs the float operator: on offsets, once for each shape, where everything but the codes is
/// constant; else on the codes as numbers.
class MapStep final : public Step {
 public:
  MapStep(NodeId id, std::string op_name, std::unique_ptr<FloatOp> op, bool constant_rest,
          std::vector<int> in, int output)
      : Step(id, std::move(in), {output}),
        op_name_(std::move(op_name)),
        op_(std::move(op)),
        constant_rest_(constant_rest) {}

  [[nodiscard]] Result<BoundStep> bind(const BufferShapes& shapes, int /*threads*/) const override {
    const StoredShape& in = shapes[at(inputs[0])];
    const StoredShape& out = shapes[at(outputs[0])];
    // Offsets that f32 holds exactly, and a map of them of reasonable size.
    constexpr std::int64_t exact = std::int64_t{1} << 24;
    if (!constant_rest_ || element_count(in.shape) > exact || element_count(out.shape) > exact) {
      return bind_numbers(in, out);
    }
    OCTET_ASSIGN(auto map, offsets(in, out));
    BoundStep bound;
    bound.run = [this, map = std::move(map)](RunContext& context) -> Status {
      const auto* from = context.codes[at(inputs[0])];
      auto* to = context.codes[at(outputs[0])];
      if (map.length == 1) {
        for (const auto offset : map.from) *to++ = from[offset];
        return {};
      }
      for (const auto offset : map.from) {
        std::memcpy(to, from + offset, static_cast<std::size_t>(map.length));
        to += map.length;
      }
      return {};
    };
    return bound;
  }
  [[nodiscard]] std::string kernel() const override {
    std::string lower = op_name_;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return "u8_" + lower + "_any_any_1";
  }

 private:
  /// The operator on `first`, a plain tensor; the result is plain and of shape `out`.
  [[nodiscard]] Result<Tensor> apply(Tensor first, std::vector<const Activation*> rest,
                                     const Shape& out) const {
    const Activation values{std::move(first), false};
    rest.insert(rest.begin(), &values);
    const auto state = op_->make_state();
    OCTET_ASSIGN(const auto results, op_->run(rest, state.get()));
    if (results.empty() || results[0].tensor.dtype() != DType::f32 ||
        results[0].tensor.shape() != out) {
      return internal_error("{} does not give {}", op_name_, to_string(out));
    }
    return to_plain(results[0]).tensor;
  }

  [[nodiscard]] Result<RunMap> offsets(const StoredShape& in, const StoredShape& out) const {
    OCTET_ASSIGN(auto ramp, Tensor::create(DType::f32, in.shape));
    for_each_plain(in, [&](std::int64_t i, std::int64_t offset) {
      ramp.mutable_data<float>()[i] = static_cast<float>(offset);
    });
    OCTET_ASSIGN(const auto picked,
                 apply(std::move(ramp), std::vector<const Activation*>(inputs.size() - 1, nullptr),
                       out.shape));
    std::vector<std::int64_t> from(static_cast<std::size_t>(picked.size()));
    for_each_plain(out, [&](std::int64_t i, std::int64_t offset) {
      from[static_cast<std::size_t>(offset)] = static_cast<std::int64_t>(picked.data<float>()[i]);
    });
    return compress(from);
  }

  [[nodiscard]] Result<BoundStep> bind_numbers(const StoredShape& in,
                                               const StoredShape& out) const {
    BoundStep bound;
    bound.run = [this, in, out](RunContext& context) -> Status {
      OCTET_ASSIGN(auto values, float_engine::new_tensor(DType::f32, in.shape));
      const auto* codes = context.codes[at(inputs[0])];
      auto* numbers = values.mutable_data<float>();
      for_each_plain(in, [&](std::int64_t i, std::int64_t offset) { numbers[i] = codes[offset]; });
      std::vector<const Activation*> rest;
      for (std::size_t i = 1; i < inputs.size(); ++i) {
        rest.push_back(inputs[i] < 0 ? nullptr : &context.floats[at(inputs[i])]);
      }
      OCTET_ASSIGN(const auto picked, apply(std::move(values), std::move(rest), out.shape));
      auto* target = context.codes[at(outputs[0])];
      for_each_plain(out, [&](std::int64_t i, std::int64_t offset) {
        target[offset] = static_cast<std::uint8_t>(picked.data<float>()[i]);
      });
      return {};
    };
    return bound;
  }

  /// Calls fn(row-major position, offset in storage).
  template <class Fn>
  static void for_each_plain(const StoredShape& stored, Fn fn) {
    const auto plain = row_major_strides(stored.shape);
    const auto strides = storage_strides(stored);
    const std::int64_t count = element_count(stored.shape);
    const bool same = is_plain(stored);
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t offset = same ? i : 0;
      std::int64_t rest = i;
      for (std::size_t d = 0; !same && d < plain.size(); ++d) {
        offset += rest / plain[d] * strides[d];
        rest %= plain[d];
      }
      fn(i, offset);
    }
  }

  std::string op_name_;
  std::unique_ptr<FloatOp> op_;
  bool constant_rest_;
};

}  // namespace

StepPointer make_gather_step(NodeId node, std::int64_t axis, int input, int indices, int output) {
  return std::make_unique<GatherStep>(node, axis, input, indices, output);
}

Result<StepPointer> make_map_step(const Graph& graph, NodeId node, std::vector<int> inputs,
                                  int output) {
  const Node& description = graph.node(node);
  const bool constant_rest =
      std::all_of(description.inputs.begin() + 1, description.inputs.end(),
                  [&](ValueId id) { return id == ValueId::none || graph.constant(id) != nullptr; });
  OCTET_ASSIGN(auto op, make_float_op(graph, node));
  return StepPointer(std::make_unique<MapStep>(node, description.op, std::move(op), constant_rest,
                                               std::move(inputs), output));
}

}  // namespace octet::integer
