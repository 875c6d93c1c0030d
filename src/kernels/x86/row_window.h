#pragma once
// Where a kernel finds its input: for each output row, pointers to the kernel_height input rows
// that it reads, complete with their horizontal and vertical padding.

#include <cstddef>
#include <cstdint>

#include "core/cache_line.h"
#include "kernels/conv.h"

namespace octet::kernels {

/// `Element` is std::uint8_t, or std::int16_t for kernels that want the codes widened.
///
/// Rows are used in place where nothing has to be padded or widened. Otherwise each input row is
/// copied once into a ring of rows in the scratch memory, with zero points around it, and stays
/// there for the output rows that follow. A row above or below the image is a row of zero points.
/// Pixels of a row are in_channels elements apart; at least 64 readable bytes follow each row.
template <class Element>
class RowWindow {
 public:
  /// What the window of one output row holds of one row of the input, in bytes.
  [[nodiscard]] static std::int64_t row_bytes(const ConvGeometry& geometry);

  /// `output_rows`: rows of one image, one after the other, whose windows are valid together.
  [[nodiscard]] static std::size_t scratch_bytes(const ConvGeometry& geometry, int output_rows = 1);

  RowWindow(const ConvGeometry& geometry, const std::uint8_t* input, std::uint8_t zero_point,
            std::byte* scratch, int output_rows = 1);

  /// Makes row(ky) valid for output row `output_row` = image * out_height + y. What it gave for
  /// the `output_rows` - 1 rows before stays valid.
  void move_to(std::int64_t output_row);

  /// The input row under kernel row ky, beginning at the leftmost tap of output pixel 0.
  [[nodiscard]] const Element* row(int ky) const { return rows_[ky]; }

 private:
  const Element* find_row(std::int64_t image, std::int64_t y);
  void copy_row(const std::uint8_t* from, Element* to) const;

  const ConvGeometry& geometry_;
  const std::uint8_t* input_;
  std::uint8_t zero_point_;
  bool in_place_;
  std::int64_t row_elements_;  ///< of a padded row that one output row reads
  std::int64_t row_stride_;    ///< elements from one ring slot to the next
  int ring_rows_;
  std::int64_t* held_ = nullptr;    ///< [ring_rows_] global input row in each slot, -1: none
  const Element** rows_ = nullptr;  ///< [kernel_height]
  Element* padding_row_ = nullptr;  ///< zero points
  bool padding_row_filled_ = false;
  Element* ring_ = nullptr;
};

extern template class RowWindow<std::uint8_t>;
extern template class RowWindow<std::int16_t>;

}  // namespace octet::kernels
