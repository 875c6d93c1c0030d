#pragma once
// Between protobuf messages and octet's own types: tensors, attributes, value infos. Private to the
// ONNX module.

#include <onnx-ml.pb.h>

#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>

#include "core/file.h"
#include "core/tensor.h"
#include "graph/graph.h"

namespace octet::onnx {

namespace wire = ::onnx;

/// Largest model that protobuf can encode.
inline constexpr std::size_t wire_limit = 0x7FFFFFFF;

/// Keys of Graph::format_extra. Those that end in '/' are followed by the name of the node or
/// value.
namespace extra {
inline constexpr std::string_view model = "onnx.model";   ///< ModelProto less what Graph holds
inline constexpr std::string_view node = "onnx.node/";    ///< NodeProto less what Node holds
inline constexpr std::string_view value = "onnx.value/";  ///< ValueInfoProto of an input/output
inline constexpr std::string_view value_info = "onnx.value_info/";  ///< the same, of others; or ""
inline constexpr std::string_view initializer = "onnx.initializer/";  ///< TensorProto less its data
inline constexpr std::string_view tensor = "onnx.tensor/";  ///< whole TensorProto (string, float8)

[[nodiscard]] std::string key(std::string_view kind, std::string_view name);
/// The entry of a node or value, or nullptr.
[[nodiscard]] const std::string* find(const Graph& graph, std::string_view kind,
                                      std::string_view name);
}  // namespace extra

/// DType::undefined for 0, DType::other for types that octet only passes through.
[[nodiscard]] DType dtype_from_wire(int data_type);
/// TensorProto::UNDEFINED for undefined and other.
[[nodiscard]] int wire_from_dtype(DType dtype);
/// A type whose elements a Tensor holds (not string, float8, complex).
[[nodiscard]] bool is_plain(DType dtype);

/// Files that hold external data, each opened once.
class ExternalFiles {
 public:
  explicit ExternalFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The bytes that the external_data entries of `tensor` point to: inside a file that lies in the
  /// folder, and inside that file. `label` names the tensor in errors.
  [[nodiscard]] Result<std::span<const std::byte>> bytes(const wire::TensorProto& tensor,
                                                         std::string_view label);

  [[nodiscard]] const std::map<std::string, FileView>& opened() const { return files_; }

 private:
  [[nodiscard]] Result<const FileView*> open(const std::string& location, std::string_view label);

  std::filesystem::path folder_;
  std::map<std::string, FileView> files_;
};

/// A Tensor from raw_data, typed data or external data, whose size must fit dims. String and exotic
/// types give a Tensor without bytes.
[[nodiscard]] Result<Tensor> decode_tensor(const wire::TensorProto& tensor, std::string_view label,
                                           ExternalFiles& files);

/// Sets dims, data_type and raw_data.
void encode_tensor(const Tensor& tensor, wire::TensorProto& out);

/// Frees what decode_tensor has read; returns whether anything but the name is left in the message.
bool strip_tensor(wire::TensorProto& tensor);

[[nodiscard]] Result<Attribute> decode_attribute(const wire::AttributeProto& attribute,
                                                 std::string_view label, ExternalFiles& files);
[[nodiscard]] wire::AttributeProto encode_attribute(const std::string& name,
                                                    const Attribute& attribute);

/// Sets dtype, shape and dim_names from the type of `info`. Fails on negative or absurd dimensions.
[[nodiscard]] Status decode_value_info(const wire::ValueInfoProto& info, Value& value);
/// Name and, where known, type and shape; `kept` (may be null) is the encoded message the file had,
/// whose doc string, denotations and non-tensor types survive.
[[nodiscard]] wire::ValueInfoProto encode_value_info(const Value& value, const std::string* kept);

}  // namespace octet::onnx
