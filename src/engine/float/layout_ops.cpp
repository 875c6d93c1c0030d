// Operators that repeat, part or rearrange elements of any type: Expand, Tile, Split, DepthToSpace,
// SpaceToDepth, Trilu, and Range.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/float/ops.h"

namespace octet::float_engine {
namespace {

using Steps = std::vector<std::int64_t>;

/// Entries by logical axis in the order of memory.
Shape in_memory_order(const Shape& logical, bool channels_last) {
  return channels_last ? Shape{logical[0], logical[2], logical[3], logical[1]} : logical;
}

Outputs expand(Inputs inputs) {
  OCTET_ASSIGN(const auto wanted, integer_input(*inputs[1], "the shape input"));
  for (const auto extent : wanted) {
    if (extent < 0) return bad_input("{} is not a shape", to_string(wanted));
  }
  const bool keeps = wanted.size() <= 4;
  const Activation x = keeps ? *inputs[0] : to_plain(*inputs[0]);
  OCTET_ASSIGN(const std::size_t width, element_bytes(x.tensor.dtype()));
  OCTET_ASSIGN(const auto logical, broadcast_shapes(x.tensor.shape(), wanted));
  OCTET_ASSIGN(Tensor out, new_tensor(x.tensor.dtype(), logical));
  const Shape from = memory_shape(x);
  const Shape to = in_memory_order(logical, x.channels_last);
  const auto strides = row_major_strides(from);
  Steps steps(to.size(), 0);
  const std::size_t missing = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i] != 1) steps[missing + i] = strides[i];
  }
  copy_strided(x.tensor.raw(), steps, out.mutable_raw(), to, width);
  return one_output(std::move(out), x.channels_last);
}

Outputs tile(Inputs inputs) {
  const Activation& x = *inputs[0];
  OCTET_ASSIGN(const std::size_t width, element_bytes(x.tensor.dtype()));
  OCTET_ASSIGN(const auto repeats, integer_input(*inputs[1], "the repeats input"));
  const Shape& shape = x.tensor.shape();
  if (repeats.size() != shape.size()) {
    return bad_input("{} repeats for shape {}", repeats.size(), to_string(shape));
  }
  Shape logical(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (repeats[i] < 0 || __builtin_mul_overflow(shape[i], repeats[i], &logical[i])) {
      return bad_input("repeats {} of shape {} are out of range", to_string(repeats),
                       to_string(shape));
    }
  }
  OCTET_ASSIGN(Tensor out, new_tensor(x.tensor.dtype(), logical));
  // Each axis becomes two: the repetition, which stays in place, and the elements.
  const Shape from = memory_shape(x);
  const Shape times = in_memory_order(repeats, x.channels_last);
  const auto strides = row_major_strides(from);
  Shape pairs;
  Steps steps;
  for (std::size_t i = 0; i < from.size(); ++i) {
    pairs.insert(pairs.end(), {times[i], from[i]});
    steps.insert(steps.end(), {0, strides[i]});
  }
  if (out.size() > 0) copy_strided(x.tensor.raw(), steps, out.mutable_raw(), pairs, width);
  return one_output(std::move(out), x.channels_last);
}

/// Extents of the parts of a Split.
Result<std::vector<std::int64_t>> part_sizes(Inputs inputs, std::int64_t extent,
                                             std::int64_t count) {
  std::vector<std::int64_t> sizes;
  if (inputs.size() > 1 && inputs[1] != nullptr) {
    OCTET_ASSIGN(sizes, integer_input(*inputs[1], "the split input"));
  } else {
    // The last parts are what is left, perhaps nothing.
    const std::int64_t part = (extent + count - 1) / count;
    for (std::int64_t i = 0; i < count; ++i) {
      sizes.push_back(std::clamp<std::int64_t>(extent - i * part, 0, part));
    }
  }
  std::int64_t rest = extent;
  for (const auto size : sizes) {
    if (size < 0 || size > rest) rest = -1;
    if (rest < 0) break;
    rest -= size;
  }
  if (rest != 0 || static_cast<std::int64_t>(sizes.size()) != count) {
    return bad_input("parts {} do not make an extent of {} in {} outputs", to_string(sizes), extent,
                     count);
  }
  return sizes;
}

Outputs split(Inputs inputs, std::int64_t axis_attribute, std::int64_t count) {
  const Activation& x = *inputs[0];
  OCTET_ASSIGN(const std::size_t width, element_bytes(x.tensor.dtype()));
  OCTET_ASSIGN(const int axis, normalize_axis(axis_attribute, x.tensor.shape().size()));
  OCTET_ASSIGN(const auto sizes, part_sizes(inputs, x.tensor.dim(axis), count));
  const Shape memory = memory_shape(x);
  const auto m = memory.begin() + memory_axis(axis, x.channels_last);
  const std::int64_t outer = element_count(Shape(memory.begin(), m));
  const std::int64_t inner =
      element_count(Shape(m + 1, memory.end())) * static_cast<std::int64_t>(width);
  std::vector<Activation> outputs;
  const std::byte* from = x.tensor.raw();
  for (const auto size : sizes) {
    Shape shape = x.tensor.shape();
    shape[static_cast<std::size_t>(axis)] = size;
    OCTET_ASSIGN(Tensor part, new_tensor(x.tensor.dtype(), std::move(shape)));
    if (part.size() > 0) {
      std::byte* to = part.mutable_raw();
      for (std::int64_t o = 0; o < outer; ++o) {
        std::memcpy(to + o * size * inner, from + o * *m * inner,
                    static_cast<std::size_t>(size * inner));
      }
      from += size * inner;
    }
    outputs.push_back({std::move(part), x.channels_last});
  }
  return outputs;
}

MadeOp make_split(const OpSource& source) {
  const auto count = static_cast<std::int64_t>(source.node.outputs.size());
  if (source.node.int_attribute("num_outputs", count) != count || count < 1) {
    return bad_input("num_outputs {} does not fit {} outputs",
                     source.node.int_attribute("num_outputs", count), count);
  }
  return make_function(source, InputOrder::any,
                       [axis = source.node.int_attribute("axis", 0), count](Inputs inputs) {
                         return split(inputs, axis, count);
                       });
}

/// Elements to step in memory for +1 along the logical axes N, C, H, W.
struct ImageSteps {
  std::int64_t n, c, h, w;

  explicit ImageSteps(const Activation& x) {
    const auto s = row_major_strides(memory_shape(x));
    n = s[0];
    c = s[x.channels_last ? 3 : 1];
    h = s[x.channels_last ? 1 : 2];
    w = s[x.channels_last ? 2 : 3];
  }
};

struct BlockOptions {
  std::int64_t size = 1;
  bool channels_outermost = false;  ///< mode CRD: a channel's block elements lie together
};

Result<BlockOptions> block_options(const Node& node) {
  BlockOptions options;
  options.size = node.int_attribute("blocksize", 0);
  if (options.size < 1 || options.size > (std::int64_t{1} << 20)) {
    return bad_input("blocksize {} is out of range", options.size);
  }
  const auto mode = node.string_attribute("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") return bad_input("mode {} does not exist", mode);
  options.channels_outermost = mode == "CRD";
  return options;
}

Outputs depth_to_space(const Activation& x, const BlockOptions& options) {
  const Shape& in = x.tensor.shape();
  const std::int64_t b = options.size;
  if (in.size() != 4 || in[1] % (b * b) != 0) {
    return bad_input("shape {} has no blocks of {} in its channels", to_string(in), b);
  }
  OCTET_ASSIGN(const std::size_t width, element_bytes(x.tensor.dtype()));
  const std::int64_t channels = in[1] / (b * b);
  OCTET_ASSIGN(Tensor out, new_tensor(x.tensor.dtype(), {in[0], channels, in[2] * b, in[3] * b}));
  if (out.size() == 0) return one_output(std::move(out));
  const ImageSteps s(x);
  const bool crd = options.channels_outermost;
  const std::int64_t c = s.c * (crd ? b * b : 1);
  const std::int64_t row = s.c * (crd ? b : b * channels);
  const std::int64_t column = s.c * (crd ? 1 : channels);
  if (x.channels_last) {
    copy_strided(x.tensor.raw(), {s.n, s.h, row, s.w, column, c}, out.mutable_raw(),
                 {in[0], in[2], b, in[3], b, channels}, width);
  } else {
    copy_strided(x.tensor.raw(), {s.n, c, s.h, row, s.w, column}, out.mutable_raw(),
                 {in[0], channels, in[2], b, in[3], b}, width);
  }
  return one_output(std::move(out), x.channels_last);
}

Outputs space_to_depth(const Activation& x, const BlockOptions& options) {
  const Shape& in = x.tensor.shape();
  const std::int64_t b = options.size;
  if (in.size() != 4 || in[2] % b != 0 || in[3] % b != 0) {
    return bad_input("shape {} does not divide into blocks of {}", to_string(in), b);
  }
  OCTET_ASSIGN(const std::size_t width, element_bytes(x.tensor.dtype()));
  const std::int64_t height = in[2] / b;
  const std::int64_t columns = in[3] / b;
  OCTET_ASSIGN(Tensor out, new_tensor(x.tensor.dtype(), {in[0], in[1] * b * b, height, columns}));
  if (out.size() == 0) return one_output(std::move(out));
  const ImageSteps s(x);
  // The new channels: block row, block column, channel (or the channel first).
  Shape depth{b, b, in[1]};
  Steps depth_steps{s.h, s.w, s.c};
  if (options.channels_outermost) {
    depth = {in[1], b, b};
    depth_steps = {s.c, s.h, s.w};
  }
  Shape shape{in[0]};
  Steps steps{s.n};
  const auto append_depth = [&] {
    shape.insert(shape.end(), depth.begin(), depth.end());
    steps.insert(steps.end(), depth_steps.begin(), depth_steps.end());
  };
  if (!x.channels_last) append_depth();
  shape.insert(shape.end(), {height, columns});
  steps.insert(steps.end(), {s.h * b, s.w * b});
  if (x.channels_last) append_depth();
  copy_strided(x.tensor.raw(), steps, out.mutable_raw(), shape, width);
  return one_output(std::move(out), x.channels_last);
}

template <auto function>
MadeOp make_block_mover(const OpSource& source) {
  OCTET_ASSIGN(const auto options, block_options(source.node));
  return make_function(source, InputOrder::any,
                       [options](Inputs inputs) { return function(*inputs[0], options); });
}

Outputs trilu(Inputs inputs, bool upper) {
  const Tensor& x = inputs[0]->tensor;
  OCTET_ASSIGN(const std::size_t width, element_bytes(x.dtype()));
  if (x.rank() < 2) return bad_input("shape {} has no matrices", to_string(x.shape()));
  std::int64_t k = 0;
  if (inputs.size() > 1 && inputs[1] != nullptr) {
    OCTET_ASSIGN(const auto diagonal, integer_input(*inputs[1], "the diagonal k"));
    if (diagonal.size() != 1) return bad_input("{} diagonals, expected one", diagonal.size());
    k = diagonal[0];
  }
  const std::int64_t rows = x.dim(x.rank() - 2);
  const std::int64_t columns = x.dim(x.rank() - 1);
  k = std::clamp(k, -rows - 1, columns + 1);
  OCTET_ASSIGN(Tensor out, new_tensor(x.dtype(), x.shape()));
  if (out.size() == 0) return one_output(std::move(out));
  std::memcpy(out.mutable_raw(), x.raw(), out.bytes());
  std::byte* row = out.mutable_raw();
  const auto bytes = [width](std::int64_t n) { return static_cast<std::size_t>(n) * width; };
  for (std::int64_t r = 0; r < x.size() / columns; ++r, row += bytes(columns)) {
    // The elements before the diagonal's, and from the one after it.
    const std::int64_t before = std::clamp<std::int64_t>(r % rows + k, 0, columns);
    const std::int64_t after = std::clamp<std::int64_t>(r % rows + k + 1, 0, columns);
    if (upper) {
      std::memset(row, 0, bytes(before));
    } else {
      std::memset(row + bytes(after), 0, bytes(columns - after));
    }
  }
  return one_output(std::move(out));
}

MadeOp make_trilu(const OpSource& source) {
  return make_function(source, InputOrder::plain,
                       [upper = source.node.int_attribute("upper", 1) != 0](Inputs inputs) {
                         return trilu(inputs, upper);
                       });
}

/// ceil((limit - start) / delta), at least 0; saturates where new_tensor refuses anyway.
template <class T>
std::int64_t range_count(T start, T limit, T delta) {
  if constexpr (std::is_floating_point_v<T>) {
    const double count = std::ceil((static_cast<double>(limit) - static_cast<double>(start)) /
                                   static_cast<double>(delta));
    return count > 0 ? static_cast<std::int64_t>(std::min(count, 0x1p60)) : 0;
  } else {
    if (delta > 0 ? start >= limit : start <= limit) return 0;
    const auto unsigned_of = [](T v) { return static_cast<std::uint64_t>(v); };
    const std::uint64_t distance = delta > 0 ? unsigned_of(limit) - unsigned_of(start)
                                             : unsigned_of(start) - unsigned_of(limit);
    const std::uint64_t step = delta > 0 ? unsigned_of(delta) : 0 - unsigned_of(delta);
    const std::uint64_t count = (distance - 1) / step + 1;
    return static_cast<std::int64_t>(std::min(count, std::uint64_t{1} << 60));
  }
}

template <class T>
Outputs range(Inputs inputs) {
  const T start = inputs[0]->tensor.data<T>()[0];
  const T limit = inputs[1]->tensor.data<T>()[0];
  const T delta = inputs[2]->tensor.data<T>()[0];
  const auto step = static_cast<double>(delta);
  if (step == 0 || std::isnan(step)) return bad_input("delta is {}", step);
  OCTET_ASSIGN(Tensor out, new_tensor(DTypeOf<T>::value, {range_count(start, limit, delta)}));
  T* to = out.mutable_data<T>();
  for (std::int64_t i = 0; i < out.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      to[i] = static_cast<T>(static_cast<double>(start) +
                             static_cast<double>(i) * static_cast<double>(delta));
    } else {
      to[i] = static_cast<T>(static_cast<std::uint64_t>(start) +
                             static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(delta));
    }
  }
  return one_output(std::move(out));
}

MadeOp make_range(const OpSource& source) {
  return make_function(source, InputOrder::plain, [](Inputs inputs) -> Outputs {
    const DType dtype = inputs[0]->tensor.dtype();
    for (const auto* input : inputs) {
      if (input->tensor.size() != 1 || input->tensor.dtype() != dtype) {
        return bad_input("start, limit and delta must be scalars of one type");
      }
    }
    switch (dtype) {
      case DType::f32: return range<float>(inputs);
      case DType::f64: return range<double>(inputs);
      case DType::i16: return range<std::int16_t>(inputs);
      case DType::i32: return range<std::int32_t>(inputs);
      case DType::i64: return range<std::int64_t>(inputs);
      default: return bad_input("elements of type {} are not supported", name(dtype));
    }
  });
}

template <auto function>
MadeOp make_plain(const OpSource& source) {
  return make_function(source, InputOrder::any, function);
}

constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();

constexpr auto entries = std::to_array<OpEntry>({
    {"Expand", 2, 1, make_plain<expand>},
    {"Tile", 2, 1, make_plain<tile>},
    {"Split", 1, any_number, make_split},
    {"DepthToSpace", 1, 1, make_block_mover<depth_to_space>},
    {"SpaceToDepth", 1, 1, make_block_mover<space_to_depth>},
    {"Trilu", 1, 1, make_trilu},
    {"Range", 3, 1, make_range},
});

}  // namespace

std::span<const OpEntry> layout_entries() { return entries; }

}  // namespace octet::float_engine
