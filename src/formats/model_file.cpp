#include "formats/model_file.h"

#include "core/file.h"
#include "core/hash.h"
#include "formats/onnx/onnx.h"
#include "formats/onnx/reader.h"
#include "formats/tflite/tflite.h"
#include "graph/shape_inference.h"
#include "graph/verify.h"

namespace octet {
namespace {

Result<ModelFile> decode_onnx(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  OCTET_ASSIGN(auto parsed, onnx::parse_model(bytes, path.parent_path()));
  OCTET_TRY(verify(parsed.graph));
  ModelFile file;
  file.format = "onnx";
  file.bytes = bytes.size();
  file.hash = content_hash(bytes);
  for (const auto& external : parsed.external_files) {
    file.bytes += external.bytes().size();
    file.hash += content_hash(external.bytes());
  }
  if (!parsed.external_files.empty()) {
    file.hash = content_hash(std::as_bytes(std::span(file.hash)));
  }
  OCTET_ASSIGN(file.model, onnx::absorb_qdq(std::move(parsed.graph)));
  OCTET_TRY(infer_shapes(file.model.graph));
  OCTET_TRY(verify(file.model));
  return file;
}

Result<ModelFile> decode_tflite(std::span<const std::byte> bytes) {
  ModelFile file;
  file.format = "tflite";
  file.bytes = bytes.size();
  file.hash = content_hash(bytes);
  OCTET_ASSIGN(file.model, tflite::parse(bytes));
  OCTET_TRY(verify(file.model));
  OCTET_TRY(infer_shapes(file.model.graph));
  OCTET_TRY(verify(file.model));
  return file;
}

bool is_tflite(const std::filesystem::path& path) { return path.extension() == ".tflite"; }

}  // namespace

Status check_model_suffix(const std::filesystem::path& path) {
  const auto suffix = path.extension().string();
  if (suffix == ".onnx" || suffix == ".tflite") return {};
  if (suffix.empty()) {
    return bad_input("{}: a model file needs a suffix that says its format (.onnx, .tflite)",
                     path.string());
  }
  return bad_input("{}: {} is no model format that octet knows (.onnx, .tflite)", path.string(),
                   suffix);
}

Result<ModelFile> read_model(const std::filesystem::path& path) {
  OCTET_TRY(check_model_suffix(path));
  OCTET_ASSIGN(const auto view, FileView::open(path));
  return decode_model(view.bytes(), path);
}

Result<ModelFile> decode_model(std::span<const std::byte> bytes,
                               const std::filesystem::path& path) {
  OCTET_TRY(check_model_suffix(path));
  auto file = is_tflite(path) ? decode_tflite(bytes) : decode_onnx(bytes, path);
  if (file) return file;
  // Errors about the file itself name it already.
  const auto& error = file.error();
  if (error.message.find(path.string()) != std::string::npos) return tl::unexpected(error);
  return tl::unexpected(error.with_context(path.string()));
}

Result<std::string> encode_model(const QuantizedGraph& model, const std::filesystem::path& path) {
  OCTET_TRY(check_model_suffix(path));
  if (is_tflite(path)) return tflite::serialize(model);
  if (model.plan.empty()) return onnx::serialize(model.graph);
  OCTET_ASSIGN(const auto graph, onnx::emit_qdq(model));
  return onnx::serialize(graph);
}

Status write_model(const QuantizedGraph& model, const std::filesystem::path& path) {
  OCTET_ASSIGN(const auto bytes, encode_model(model, path));
  return write_file(path, bytes);
}

}  // namespace octet
