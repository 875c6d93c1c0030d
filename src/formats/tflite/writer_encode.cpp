#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include "formats/tflite/extra.h"
#include "formats/tflite/writer_draft.h"

namespace octet::tflite {
namespace {

constexpr std::uint32_t schema_version = 3;
constexpr const char* file_identifier = "TFL3";
/// The largest file that flatbuffers can address, and an upper bound of what a tensor or an
/// operator takes besides its constants and names.
constexpr std::size_t largest_file = 0x7FFFFFFF;
constexpr std::size_t table_room = 4096;
/// Operators beyond this number do not fit the field that older readers look at.
constexpr int last_narrow_code = 127;

template <class T>
using VectorOffset = flatbuffers::Offset<flatbuffers::Vector<T>>;

std::string_view bytes_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.raw()), tensor.bytes()};
}

/// Puts the operators of a draft into their final order and gives tensors their names.
class Arranger {
 public:
  explicit Arranger(Draft& draft) : draft_(draft) {}

  void run() {
    order_operators();
    merge_invented();
    list_tensors();
    name_tensors();
  }

  std::vector<TensorId> tensors;         ///< what is written, in this order
  std::vector<std::int32_t> file_index;  ///< by tensor of the draft; -1: not written
  std::vector<const DraftOperator*> order;

 private:
  void order_operators() {
    std::vector<std::int64_t> maker(draft_.tensors.size(), -1);
    for (std::size_t i = 0; i < draft_.operators.size(); ++i) {
      for (const auto id : draft_.operators[i].outputs) {
        maker[index(id)] = static_cast<std::int64_t>(i);
      }
    }
    struct Visit {
      std::size_t op;
      std::size_t next = 0;
    };
    std::vector<bool> seen(draft_.operators.size(), false);
    std::vector<Visit> stack;
    const auto enter = [&](TensorId id) {
      if (id == TensorId::none || maker[index(id)] < 0) return;
      const auto op = static_cast<std::size_t>(maker[index(id)]);
      if (seen[op]) return;
      seen[op] = true;
      stack.push_back({op});
    };
    for (const auto output : draft_.outputs) {
      enter(output);
      while (!stack.empty()) {
        auto& top = stack.back();
        const auto& inputs = draft_.operators[top.op].inputs;
        if (top.next < inputs.size()) {
          enter(inputs[top.next++]);
        } else {
          operators_.push_back(top.op);
          stack.pop_back();
        }
      }
    }
    for (const auto op : operators_) order.push_back(&draft_.operators[op]);
  }

  void merge_invented() {
    std::map<std::pair<std::pair<DType, Shape>, std::string_view>, TensorId> known;
    for (const auto op : operators_) {
      for (auto& id : draft_.operators[op].inputs) {
        if (id == TensorId::none || !draft_.tensor(id).invented) continue;
        const auto& tensor = draft_.tensor(id);
        id = known.try_emplace({{tensor.dtype, tensor.shape}, bytes_of(*tensor.data)}, id)
                 .first->second;
      }
    }
  }

  void list(TensorId id) {
    if (id == TensorId::none || file_index[index(id)] >= 0) return;
    file_index[index(id)] = static_cast<std::int32_t>(tensors.size());
    tensors.push_back(id);
  }

  void list_tensors() {
    file_index.assign(draft_.tensors.size(), -1);
    for (const auto id : draft_.inputs) list(id);
    for (const auto* op : order) {
      for (const auto id : op->inputs) list(id);
      for (const auto id : op->outputs) list(id);
    }
    for (const auto id : draft_.outputs) list(id);
  }

  /// Names of the graph come first, so that derived ones give way to them.
  void name_tensors() {
    std::vector<bool> named(draft_.tensors.size(), false);
    const auto claim = [&](TensorId id) {
      if (named[index(id)] || draft_.tensor(id).parent != TensorId::none) return;
      named[index(id)] = true;
      make_unique(draft_.tensor(id).name);
    };
    for (const auto id : draft_.inputs) claim(id);
    for (const auto id : draft_.outputs) claim(id);
    for (const auto id : tensors) claim(id);
    for (const auto id : tensors) name_derived(id, named);
  }

  void name_derived(TensorId id, std::vector<bool>& named) {
    std::vector<TensorId> chain;
    for (auto at = id; at != TensorId::none && !named[index(at)]; at = draft_.tensor(at).parent) {
      chain.push_back(at);
    }
    for (; !chain.empty(); chain.pop_back()) {
      auto& tensor = draft_.tensor(chain.back());
      if (tensor.parent != TensorId::none) {
        tensor.name = draft_.tensor(tensor.parent).name + tensor.name;
      }
      named[index(chain.back())] = true;
      // A parent that is not written itself keeps its name to itself.
      if (file_index[index(chain.back())] >= 0) make_unique(tensor.name);
    }
  }

  void make_unique(std::string& name) {
    if (names_.insert(name).second) return;
    for (int i = 1;; ++i) {
      auto candidate = name + "_" + std::to_string(i);
      if (!names_.insert(candidate).second) continue;
      name = std::move(candidate);
      return;
    }
  }

  Draft& draft_;
  std::vector<std::size_t> operators_;
  std::set<std::string> names_;
};

class Encoder {
 public:
  Encoder(const Draft& draft, const Arranger& arranged, const Graph& graph)
      : draft_(draft), arranged_(arranged), graph_(graph) {}

  Result<std::string> run() {
    OCTET_TRY(collect_buffers());
    OCTET_ASSIGN(const auto subgraph, add_subgraph());
    const auto metadata = add_metadata();
    const auto signatures = add_signatures();
    // Whatever lies behind the buffers' bytes is small.
    const auto buffers = add_buffers();
    const auto description =
        graph_.producer.empty() ? 0 : builder_.CreateSharedString(graph_.producer);
    const auto subgraphs = builder_.CreateVector(&subgraph, 1);
    const auto codes = builder_.CreateVector(codes_);
    const auto model = wire::CreateModel(builder_, schema_version, codes, subgraphs, description,
                                         buffers, 0, metadata, signatures);
    builder_.Finish(model, file_identifier);
    return std::string(reinterpret_cast<const char*>(builder_.GetBufferPointer()),
                       builder_.GetSize());
  }

 private:
  /// Equal bytes are written once.
  std::uint32_t buffer_of(std::string_view bytes) {
    if (bytes.empty()) return 0;
    const auto [entry, is_new] =
        buffer_index_.try_emplace(bytes, static_cast<std::uint32_t>(buffers_.size()));
    if (is_new) buffers_.push_back(bytes);
    return entry->second;
  }

  Status collect_buffers() {
    buffers_.emplace_back();
    std::size_t total = table_room * (arranged_.tensors.size() + arranged_.order.size() + 1);
    for (const auto id : arranged_.tensors) {
      const auto& tensor = draft_.tensor(id);
      total += tensor.name.size();
      if (!tensor.data) continue;
      const auto known = buffers_.size();
      const auto bytes = bytes_of(*tensor.data);
      buffer_of(bytes);
      if (buffers_.size() > known) total += bytes.size() + 32;
      if (total > largest_file) {
        return bad_input("the constants up to {} take {} bytes; a .tflite file holds at most {}",
                         tensor.name, total, largest_file);
      }
    }
    return {};
  }

  template <class T>
  VectorOffset<T> shared(const std::vector<T>& values,
                         std::map<std::vector<T>, VectorOffset<T>>& known) {
    const auto found = known.find(values);
    if (found != known.end()) return found->second;
    return known.emplace(values, builder_.CreateVector(values)).first->second;
  }
  VectorOffset<std::int32_t> ints(const std::vector<std::int32_t>& values) {
    return shared(values, int_vectors_);
  }

  flatbuffers::Offset<wire::QuantizationParameters> quantization(const QuantParams& params) {
    const std::vector<std::int64_t> zeros(params.zero_point.begin(), params.zero_point.end());
    const auto scale = shared(params.scale, float_vectors_);
    const auto zero_point = shared(zeros, long_vectors_);
    const auto axis = std::max(params.axis, 0);
    const auto key = std::tuple(scale.o, zero_point.o, axis);
    const auto found = quantizations_.find(key);
    if (found != quantizations_.end()) return found->second;
    const auto made = wire::CreateQuantizationParameters(builder_, 0, 0, scale, zero_point,
                                                         wire::QuantizationDetails::NONE, 0, axis);
    return quantizations_.emplace(key, made).first->second;
  }

  Result<flatbuffers::Offset<wire::Tensor>> add_tensor(const DraftTensor& tensor) {
    const auto type = wire_type(tensor.dtype);
    if (!type) {
      return bad_input("tensor {}: a .tflite file has no type {}", tensor.name, name(tensor.dtype));
    }
    std::vector<std::int32_t> shape;
    std::vector<std::int32_t> signature;
    for (const auto extent : tensor.shape) {
      if (extent > INT32_MAX) {
        return bad_input("tensor {}: extent {} is too large for a .tflite file", tensor.name,
                         extent);
      }
      shape.push_back(extent < 0 ? 1 : static_cast<std::int32_t>(extent));
      signature.push_back(extent < 0 ? -1 : static_cast<std::int32_t>(extent));
    }
    const auto shape_offset = ints(shape);
    const auto signature_offset = signature == shape ? 0 : ints(signature);
    const auto params = tensor.params ? quantization(*tensor.params) : 0;
    const auto buffer = tensor.data ? buffer_of(bytes_of(*tensor.data)) : 0;
    const auto label = builder_.CreateSharedString(tensor.name);
    return wire::CreateTensor(builder_, shape_offset, *type, buffer, label, params, false, 0,
                              signature_offset);
  }

  std::uint32_t code_index(const DraftOperator& op) {
    const auto version = operator_version(draft_, op);
    const auto [entry, is_new] = code_index_.try_emplace(
        std::pair(op.code, version), static_cast<std::uint32_t>(code_index_.size()));
    if (is_new) {
      const auto narrow = std::min(static_cast<int>(op.code), last_narrow_code);
      codes_.push_back(wire::CreateOperatorCode(builder_, static_cast<std::int8_t>(narrow), 0,
                                                version, op.code));
    }
    return entry->second;
  }

  std::vector<std::int32_t> file_indices(const std::vector<TensorId>& ids) const {
    std::vector<std::int32_t> out;
    for (const auto id : ids) {
      out.push_back(id == TensorId::none ? -1 : arranged_.file_index[index(id)]);
    }
    return out;
  }

  flatbuffers::Offset<wire::Operator> add_operator(const DraftOperator& op) {
    const auto code = code_index(op);
    const auto inputs = ints(file_indices(op.inputs));
    const auto outputs = ints(file_indices(op.outputs));
    const auto options = op.options.Pack(builder_);
    return wire::CreateOperator(builder_, code, inputs, outputs, op.options.type, options);
  }

  Result<flatbuffers::Offset<wire::SubGraph>> add_subgraph() {
    std::vector<flatbuffers::Offset<wire::Tensor>> tensors;
    for (const auto id : arranged_.tensors) {
      OCTET_ASSIGN(const auto tensor, add_tensor(draft_.tensor(id)));
      tensors.push_back(tensor);
    }
    std::vector<flatbuffers::Offset<wire::Operator>> operators;
    for (const auto* op : arranged_.order) operators.push_back(add_operator(*op));
    const auto inputs = ints(file_indices(draft_.inputs));
    const auto outputs = ints(file_indices(draft_.outputs));
    const auto label = builder_.CreateSharedString(graph_.name.empty() ? "main" : graph_.name);
    return wire::CreateSubGraph(builder_, builder_.CreateVector(tensors), inputs, outputs,
                                builder_.CreateVector(operators), label);
  }

  VectorOffset<flatbuffers::Offset<wire::Metadata>> add_metadata() {
    std::vector<flatbuffers::Offset<wire::Metadata>> entries;
    const auto add = [&](const std::string& key, const std::string& value) {
      entries.push_back(
          wire::CreateMetadata(builder_, builder_.CreateSharedString(key), buffer_of(value)));
    };
    for (const auto& [key, value] : graph_.metadata) add(key, value);
    for (const auto& [key, value] : graph_.format_extra) {
      if (key.starts_with(extra::metadata)) add(key.substr(extra::metadata.size()), value);
    }
    if (entries.empty()) return 0;
    return builder_.CreateVector(entries);
  }

  /// Kept signatures count the graph's inputs and outputs; the file's count tensors.
  VectorOffset<flatbuffers::Offset<wire::SignatureDef>> add_signatures() {
    const auto kept = graph_.format_extra.find(std::string(extra::signatures));
    if (kept == graph_.format_extra.end()) return 0;
    std::unique_ptr<wire::ModelT> model(wire::GetModel(kept->second.data())->UnPack());
    std::vector<flatbuffers::Offset<wire::SignatureDef>> offsets;
    for (auto& signature : model->signature_defs) {
      const bool fits = renumber(signature->inputs, draft_.inputs) &&
                        renumber(signature->outputs, draft_.outputs);
      if (fits) offsets.push_back(wire::CreateSignatureDef(builder_, signature.get()));
    }
    if (offsets.empty()) return 0;
    return builder_.CreateVector(offsets);
  }
  bool renumber(std::vector<std::unique_ptr<wire::TensorMapT>>& maps,
                const std::vector<TensorId>& list) const {
    return std::all_of(maps.begin(), maps.end(), [&](const auto& map) {
      if (map->tensor_index >= list.size()) return false;
      const auto id = list[map->tensor_index];
      map->tensor_index = static_cast<std::uint32_t>(arranged_.file_index[index(id)]);
      return true;
    });
  }

  VectorOffset<flatbuffers::Offset<wire::Buffer>> add_buffers() {
    std::vector<flatbuffers::Offset<wire::Buffer>> offsets;
    for (const auto bytes : buffers_) {
      if (bytes.empty()) {
        offsets.push_back(wire::CreateBuffer(builder_));
        continue;
      }
      builder_.ForceVectorAlignment(bytes.size(), 1, 16);
      const auto data =
          builder_.CreateVector(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
      offsets.push_back(wire::CreateBuffer(builder_, data));
    }
    return builder_.CreateVector(offsets);
  }

  const Draft& draft_;
  const Arranger& arranged_;
  const Graph& graph_;
  flatbuffers::FlatBufferBuilder builder_{1 << 16};
  std::vector<std::string_view> buffers_;
  std::map<std::string_view, std::uint32_t> buffer_index_;
  std::map<std::vector<std::int32_t>, VectorOffset<std::int32_t>> int_vectors_;
  std::map<std::vector<std::int64_t>, VectorOffset<std::int64_t>> long_vectors_;
  std::map<std::vector<float>, VectorOffset<float>> float_vectors_;
  std::map<std::tuple<flatbuffers::uoffset_t, flatbuffers::uoffset_t, int>,
           flatbuffers::Offset<wire::QuantizationParameters>>
      quantizations_;
  std::map<std::pair<wire::BuiltinOperator, std::int32_t>, std::uint32_t> code_index_;
  std::vector<flatbuffers::Offset<wire::OperatorCode>> codes_;
};

}  // namespace

std::optional<wire::TensorType> wire_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return wire::TensorType::FLOAT32;
    case DType::f64: return wire::TensorType::FLOAT64;
    case DType::f16: return wire::TensorType::FLOAT16;
    case DType::bf16: return wire::TensorType::BFLOAT16;
    case DType::i4: return wire::TensorType::INT4;
    case DType::i8: return wire::TensorType::INT8;
    case DType::u8: return wire::TensorType::UINT8;
    case DType::i16: return wire::TensorType::INT16;
    case DType::u16: return wire::TensorType::UINT16;
    case DType::i32: return wire::TensorType::INT32;
    case DType::u32: return wire::TensorType::UINT32;
    case DType::i64: return wire::TensorType::INT64;
    case DType::u64: return wire::TensorType::UINT64;
    case DType::boolean: return wire::TensorType::BOOL;
    default: return std::nullopt;
  }
}

Result<std::string> encode(Draft draft, const QuantizedGraph& model) {
  Arranger arranger(draft);
  arranger.run();
  return Encoder(draft, arranger, model.graph).run();
}

}  // namespace octet::tflite
