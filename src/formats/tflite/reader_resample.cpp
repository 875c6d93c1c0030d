// Operators that change an image's height and width without weights.

#include "formats/tflite/reader_operators.h"
#include "formats/tflite/reader_options.h"
#include "graph/onnx_dtype.h"

namespace octet::tflite {
namespace {

/// Height and width, constant or not, as int64.
Result<ValueId> sizes_of(Translator& to, const FileOperator& op) {
  const auto name = to.output(op).name + "/sizes";
  if (to.is_constant(op.inputs[1])) {
    OCTET_ASSIGN(const auto sizes, to.integers(op, 1, "size"));
    if (sizes.size() != 2) return bad_input("its size has {} extents", sizes.size());
    return to.integer_list(sizes, name);
  }
  OCTET_ASSIGN(const auto value, to.value(op.inputs[1], Order::file));
  auto cast = Translator::node("Cast", {value});
  cast.attributes["to"] = onnx_code(DType::i64);
  return to.inner(std::move(cast), to.invent(name), DType::i64);
}

Status resize(Translator& to, const FileOperator& op, Node node, bool align_corners,
              bool half_pixel) {
  if (align_corners && half_pixel) {
    return bad_input("align_corners and half_pixel_centers together are not supported");
  }
  if (to.input(op, 0).rank() != 4) return bad_input("its input is not of rank 4");
  OCTET_ASSIGN(const auto x, to.value(op.inputs[0], Order::image));
  OCTET_ASSIGN(const auto sizes, sizes_of(to, op));
  node.inputs = {x, ValueId::none, ValueId::none, sizes};
  node.attributes["axes"] = std::vector<std::int64_t>{2, 3};
  node.attributes["coordinate_transformation_mode"] = std::string(align_corners ? "align_corners"
                                                                  : half_pixel  ? "half_pixel"
                                                                                : "asymmetric");
  return to.finish(op, std::move(node), Order::image);
}

Result<std::int64_t> block(std::int32_t size) {
  if (size < 1) return bad_input("its block size is {}", size);
  return std::int64_t{size};
}

Result<ValueId> image_input(Translator& to, const FileOperator& op) {
  if (to.input(op, 0).rank() != 4) return bad_input("its input is not of rank 4");
  return to.value(op.inputs[0], Order::image);
}

}  // namespace

Status read_resize_bilinear(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::ResizeBilinearOptions>(op);
  auto node = Translator::node("Resize", {});
  node.attributes["mode"] = std::string("linear");
  return resize(to, op, std::move(node), options != nullptr && options->align_corners(),
                options != nullptr && options->half_pixel_centers());
}

/// The source is floor(x * in / out), floor((x + 0.5) * in / out), or for align_corners
/// x * (in - 1) / (out - 1) rounded half up.
Status read_resize_nearest(Translator& to, const FileOperator& op) {
  const auto* options = find_options<wire::ResizeNearestNeighborOptions>(op);
  const bool align_corners = options != nullptr && options->align_corners();
  const bool half_pixel = options != nullptr && options->half_pixel_centers();
  auto node = Translator::node("Resize", {});
  node.attributes["mode"] = std::string("nearest");
  node.attributes["nearest_mode"] =
      std::string(align_corners || half_pixel ? "round_prefer_ceil" : "floor");
  return resize(to, op, std::move(node), align_corners, half_pixel);
}

Status read_depth_to_space(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::DepthToSpaceOptions>(op));
  OCTET_ASSIGN(const auto size, block(options->block_size()));
  OCTET_ASSIGN(const auto x, image_input(to, op));
  auto node = Translator::node("DepthToSpace", {x});
  node.attributes["blocksize"] = size;
  node.attributes["mode"] = std::string("DCR");
  return to.finish(op, std::move(node), Order::image);
}

Status read_space_to_depth(Translator& to, const FileOperator& op) {
  OCTET_ASSIGN(const auto* options, options_of<wire::SpaceToDepthOptions>(op));
  OCTET_ASSIGN(const auto size, block(options->block_size()));
  OCTET_ASSIGN(const auto x, image_input(to, op));
  auto node = Translator::node("SpaceToDepth", {x});
  node.attributes["blocksize"] = size;
  return to.finish(op, std::move(node), Order::image);
}

}  // namespace octet::tflite
