#pragma once
// Dense row-major data with a type and a shape. Copies share storage; writing clones it when it is
// shared (copy on write), so a Tensor behaves as a value.

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "core/dtype.h"
#include "core/result.h"
#include "core/shape.h"

namespace octet {

/// Alignment of every buffer, in bytes: a cache line and a 512-bit register.
inline constexpr std::size_t buffer_alignment = 64;

class Tensor {
 public:
  Tensor() = default;

  /// Uninitialised storage. `shape` must be static and of a sane size (see checked_element_count).
  Tensor(DType dtype, Shape shape);

  /// Zero-filled storage.
  [[nodiscard]] static Tensor zeros(DType dtype, Shape shape);

  /// Checks the shape first: for shapes that come from a file.
  [[nodiscard]] static Result<Tensor> create(DType dtype, Shape shape);

  /// Uninitialised, over memory that the caller recycles: `storage` holds at least the tensor's
  /// bytes, aligned to buffer_alignment, with buffer_alignment readable bytes after them.
  [[nodiscard]] static Tensor over(DType dtype, Shape shape, std::shared_ptr<std::byte[]> storage) {
    Tensor tensor;
    tensor.dtype_ = dtype;
    tensor.shape_ = std::move(shape);
    tensor.count_ = element_count(tensor.shape_);
    tensor.storage_ = std::move(storage);
    return tensor;
  }

  /// Copies `values`, whose count must equal that of `shape`.
  template <class T>
  [[nodiscard]] static Tensor from(std::span<const T> values, Shape shape) {
    Tensor tensor(DTypeOf<T>::value, std::move(shape));
    std::copy(values.begin(), values.end(), tensor.mutable_data<T>());
    return tensor;
  }
  template <class T>
  [[nodiscard]] static Tensor from(std::initializer_list<T> values, Shape shape) {
    return from<T>(std::span<const T>(values.begin(), values.size()), std::move(shape));
  }

  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] int rank() const { return static_cast<int>(shape_.size()); }
  [[nodiscard]] std::int64_t dim(int i) const { return shape_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] std::int64_t size() const { return count_; }  ///< elements
  [[nodiscard]] std::size_t bytes() const { return storage_bytes(dtype_, count_); }
  [[nodiscard]] bool empty() const { return dtype_ == DType::undefined; }

  [[nodiscard]] const std::byte* raw() const { return storage_.get(); }
  [[nodiscard]] std::byte* mutable_raw();

  template <class T>
  [[nodiscard]] const T* data() const {
    return reinterpret_cast<const T*>(raw());
  }
  template <class T>
  [[nodiscard]] T* mutable_data() {
    return reinterpret_cast<T*>(mutable_raw());
  }
  template <class T>
  [[nodiscard]] std::span<const T> values() const {
    return {data<T>(), static_cast<std::size_t>(count_)};
  }

  /// The same storage under another shape of equal element count.
  [[nodiscard]] Tensor reshaped(Shape shape) const;

 private:
  DType dtype_ = DType::undefined;
  Shape shape_;
  std::int64_t count_ = 0;
  std::shared_ptr<std::byte[]> storage_;
};

/// Bytewise equality of type, shape and contents.
[[nodiscard]] bool identical(const Tensor& a, const Tensor& b);

/// Every element as int64 (any integer or boolean type); fails on float types.
[[nodiscard]] Result<std::vector<std::int64_t>> to_int64(const Tensor& tensor);

/// A copy as f32 from any numeric type (f16 and bf16 included).
[[nodiscard]] Result<Tensor> to_f32(const Tensor& tensor);

}  // namespace octet
