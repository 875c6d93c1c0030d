#include "formats/tflite/reader_model.h"

#include <algorithm>
#include <cstring>

#include "formats/tflite/reader_checks.h"
#include "formats/tflite/reader_operators.h"

namespace octet::tflite {
namespace {

constexpr std::uint32_t format_version = 3;
constexpr std::size_t alignment = 16;

/// flatbuffers reads numbers in place, where they must be aligned.
void align(FileModel& model) {
  if (reinterpret_cast<std::uintptr_t>(model.bytes.data()) % alignment == 0) return;
  model.aligned = std::make_shared<std::byte[]>(model.bytes.size());
  std::memcpy(model.aligned.get(), model.bytes.data(), model.bytes.size());
  model.bytes = {model.aligned.get(), model.bytes.size()};
}

Status verify_buffer(FileModel& model) {
  constexpr std::size_t smallest = 8;
  const auto* data = reinterpret_cast<const std::uint8_t*>(model.bytes.data());
  if (model.bytes.size() < smallest || !wire::ModelBufferHasIdentifier(data)) {
    return bad_input("not a TFLite model: it lacks the identifier TFL3");
  }
  // Beyond 2 GB only the contents of buffers lie, which are checked where they are read.
  const auto size = std::min<std::size_t>(model.bytes.size(), FLATBUFFERS_MAX_BUFFER_SIZE - 1);
  flatbuffers::Verifier verifier(data, size);
  if (!wire::VerifyModelBuffer(verifier)) {
    return bad_input("the file is damaged: its flatbuffer does not hold together");
  }
  model.wire = wire::GetModel(data);
  if (model.wire->version() != format_version) {
    return bad_input("the model has version {} of the format; octet reads version {}",
                     model.wire->version(), format_version);
  }
  return {};
}

std::string operator_name(const wire::OperatorCode& code, wire::BuiltinOperator builtin) {
  if (builtin == wire::BuiltinOperator::CUSTOM) {
    return code.custom_code() == nullptr ? "CUSTOM" : "CUSTOM " + code.custom_code()->str();
  }
  const std::string known = wire::EnumNameBuiltinOperator(builtin);
  return known.empty() ? fmt::format("BUILTIN {}", static_cast<int>(builtin)) : known;
}

/// Old files have the code in one byte, new ones in both fields or in the larger alone.
wire::BuiltinOperator builtin_of(const wire::OperatorCode& code) {
  return std::max(code.builtin_code(),
                  static_cast<wire::BuiltinOperator>(code.deprecated_builtin_code()));
}

class OperatorReader {
 public:
  explicit OperatorReader(FileModel& model) : model_(model), made_(model.tensors.size()) {
    for (const auto input : model.inputs) made_[static_cast<std::size_t>(input)] = true;
  }

  Status read(const wire::Operator& from, std::size_t number);

 private:
  Status read_inputs(const wire::Operator& from, FileOperator& to) const;
  Status read_outputs(const wire::Operator& from, FileOperator& to);

  FileModel& model_;
  std::vector<bool> made_;
};

Status OperatorReader::read_inputs(const wire::Operator& from, FileOperator& to) const {
  if (from.inputs() == nullptr) return {};
  for (const auto input : *from.inputs()) {
    to.inputs.push_back(input);
    if (input == -1) continue;
    if (input < 0 || static_cast<std::size_t>(input) >= model_.tensors.size()) {
      return bad_input("it reads tensor {} of {}", input, model_.tensors.size());
    }
    const auto& tensor = model_.tensor(input);
    const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
    if (!tensor.is_constant && !empty && !made_[static_cast<std::size_t>(input)]) {
      return bad_input("it reads tensor {} ({}), which nothing before it makes", input,
                       tensor.name);
    }
    if (tensor.dtype == DType::other) {
      return bad_input("tensor {} is of type {}, which is not supported", tensor.name,
                       tensor.type_name);
    }
  }
  return {};
}

Status OperatorReader::read_outputs(const wire::Operator& from, FileOperator& to) {
  if (from.outputs() == nullptr) return {};
  for (const auto output : *from.outputs()) {
    to.outputs.push_back(output);
    if (output < 0 || static_cast<std::size_t>(output) >= model_.tensors.size()) {
      return bad_input("it makes tensor {} of {}", output, model_.tensors.size());
    }
    const auto& tensor = model_.tensor(output);
    if (tensor.is_constant || made_[static_cast<std::size_t>(output)]) {
      return bad_input("it makes tensor {} ({}), which is {}", output, tensor.name,
                       tensor.is_constant ? "a constant" : "an input or made before, too");
    }
    if (tensor.dtype == DType::other) {
      return bad_input("tensor {} is of type {}, which is not supported", tensor.name,
                       tensor.type_name);
    }
    if (tensor.quantization && tensor.quantization->params.per_channel()) {
      return bad_input("tensor {} is quantized per channel without being a constant", tensor.name);
    }
    made_[static_cast<std::size_t>(output)] = true;
  }
  return {};
}

Status OperatorReader::read(const wire::Operator& from, std::size_t number) {
  const auto* codes = model_.wire->operator_codes();
  if (codes == nullptr || from.opcode_index() >= codes->size()) {
    return bad_input("operator {} has code {} of {}", number, from.opcode_index(),
                     codes == nullptr ? 0 : codes->size());
  }
  const auto& code = *codes->Get(from.opcode_index());
  FileOperator to;
  to.code = builtin_of(code);
  to.wire = &from;
  to.label = fmt::format("operator {} ({})", number, operator_name(code, to.code));
  if (auto status = check_known(to.code); !status) {
    return tl::unexpected(status.error().with_context(to.label));
  }
  auto status = read_inputs(from, to);
  if (status) status = read_outputs(from, to);
  if (status) status = check_arity(to);
  if (!status) return tl::unexpected(status.error().with_context(to.label));
  model_.operators.push_back(std::move(to));
  return {};
}

Result<std::vector<int>> tensor_list(const FileModel& model,
                                     const flatbuffers::Vector<std::int32_t>* from,
                                     std::string_view what) {
  std::vector<int> list;
  std::vector<bool> listed(model.tensors.size());
  if (from == nullptr) return list;
  for (const auto number : *from) {
    if (number < 0 || static_cast<std::size_t>(number) >= model.tensors.size()) {
      return bad_input("graph {} {} is tensor {} of {}", what, list.size(), number,
                       model.tensors.size());
    }
    const auto& tensor = model.tensor(number);
    if (listed[static_cast<std::size_t>(number)]) {
      return bad_input("graph {} {} is listed twice", what, tensor.name);
    }
    listed[static_cast<std::size_t>(number)] = true;
    if (tensor.dtype == DType::other) {
      return bad_input("graph {} {} is of type {}, which is not supported", what, tensor.name,
                       tensor.type_name);
    }
    list.push_back(number);
  }
  return list;
}

Status check_inputs(const FileModel& model) {
  for (const auto number : model.inputs) {
    const auto& tensor = model.tensor(number);
    if (tensor.is_constant) return bad_input("graph input {} is a constant", tensor.name);
    if (tensor.quantization && tensor.quantization->params.per_channel()) {
      return bad_input("graph input {} is quantized per channel", tensor.name);
    }
  }
  return {};
}

}  // namespace

Status read_operators(const wire::SubGraph& from, FileModel& model) {
  if (from.operators() == nullptr) return {};
  OperatorReader reader(model);
  std::size_t number = 0;
  for (const auto* op : *from.operators()) OCTET_TRY(reader.read(*op, number++));
  return {};
}

Result<std::span<const std::byte>> buffer_bytes(const FileModel& model, std::uint32_t number) {
  const auto* buffers = model.wire->buffers();
  const std::size_t count = buffers == nullptr ? 0 : buffers->size();
  // Files without any buffer are legal; 0 means none.
  if (number == 0 && count == 0) return std::span<const std::byte>();
  if (number >= count) return bad_input("it has buffer {} of {}", number, count);
  const auto& buffer = *buffers->Get(number);
  // An offset of 0 or 1 means that the contents lie in the flatbuffer.
  if (buffer.offset() > 1) {
    const auto size = static_cast<std::uint64_t>(model.bytes.size());
    if (buffer.offset() > size || buffer.size() > size - buffer.offset()) {
      return bad_input("its buffer at byte {} of {} bytes lies outside the file", buffer.offset(),
                       buffer.size());
    }
    return model.bytes.subspan(buffer.offset(), buffer.size());
  }
  if (buffer.data() == nullptr) return std::span<const std::byte>();
  return std::as_bytes(std::span(buffer.data()->data(), buffer.data()->size()));
}

Result<FileModel> open_model_bytes(std::span<const std::byte> bytes) {
  FileModel model;
  model.bytes = bytes;
  align(model);
  OCTET_TRY(verify_buffer(model));
  const auto* subgraphs = model.wire->subgraphs();
  if (subgraphs == nullptr || subgraphs->size() == 0) return bad_input("the model has no subgraph");
  const auto& graph = *subgraphs->Get(0);
  OCTET_TRY(read_tensors(graph, model));
  OCTET_ASSIGN(model.inputs, tensor_list(model, graph.inputs(), "input"));
  OCTET_ASSIGN(model.outputs, tensor_list(model, graph.outputs(), "output"));
  if (model.outputs.empty()) return bad_input("the model has no outputs");
  OCTET_TRY(check_inputs(model));
  OCTET_TRY(read_operators(graph, model));
  if (subgraphs->size() > 1) {
    return bad_input(
        "the model has {} subgraphs (control flow or several signatures); octet reads "
        "models of one",
        subgraphs->size());
  }
  return model;
}

}  // namespace octet::tflite
