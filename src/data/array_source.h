#pragma once
// Arrays of samples: the first dimension counts them.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/byte_stream.h"

namespace octet {

/// One array, in memory or read row by row from its file.
class ArraySource {
 public:
  /// A .npy file. Only column-major and big-endian ones are held in memory.
  [[nodiscard]] static Result<ArraySource> open_npy(const std::filesystem::path& path);
  /// All .npy entries of an .npz. Compressed ones are held in memory.
  [[nodiscard]] static Result<std::vector<ArraySource>> open_npz(const std::filesystem::path& path);

  [[nodiscard]] const std::string& name() const { return name_; }  ///< without ".npy"
  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] std::int64_t rows() const { return shape_[0]; }
  /// [1, ...]: row i. Thread-safe.
  [[nodiscard]] Result<Tensor> row(std::int64_t i) const;
  /// The whole array.
  [[nodiscard]] Result<Tensor> all() const;

 private:
  static Result<ArraySource> from_file(std::shared_ptr<const RandomFile> file, std::uint64_t offset,
                                       std::uint64_t size, std::string name);
  static Result<ArraySource> from_tensor(Tensor tensor, std::string name);

  std::string name_;
  DType dtype_ = DType::undefined;
  Shape shape_;
  Tensor tensor_;
  std::shared_ptr<const RandomFile> file_;  // null: tensor_ holds the data
  std::uint64_t offset_ = 0;
};

}  // namespace octet
