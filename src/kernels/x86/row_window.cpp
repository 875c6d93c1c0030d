#include "kernels/x86/row_window.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace octet::kernels {
namespace {

constexpr std::int64_t slack_bytes = 64;  // kernels read whole vectors

std::int64_t padded_row_elements(const ConvGeometry& g) {
  const std::int64_t pixels = std::int64_t{g.out_width - 1} * g.stride_width +
                              std::int64_t{g.kernel_width - 1} * g.dilation_width + 1;
  return pixels * g.in_channels;
}

int ring_size(const ConvGeometry& g, int output_rows) {
  return (g.kernel_height - 1) * g.dilation_height + 1 + (output_rows - 1) * g.stride_height;
}

bool has_horizontal_padding(const ConvGeometry& g) {
  return g.pad_left > 0 || padded_row_elements(g) > std::int64_t{g.in_width} * g.in_channels;
}

template <class Element>
std::int64_t slot_elements(const ConvGeometry& g) {
  const auto size = static_cast<std::int64_t>(sizeof(Element));
  const std::int64_t bytes = padded_row_elements(g) * size + slack_bytes;
  return static_cast<std::int64_t>(whole_lines(static_cast<std::size_t>(bytes))) / size;
}

template <class Element>
bool used_in_place(const ConvGeometry& g) {
  return std::is_same_v<Element, std::uint8_t> && !has_horizontal_padding(g);
}

template <class Element>
std::size_t pointer_bytes(const ConvGeometry& g, int output_rows) {
  return whole_lines(static_cast<std::size_t>(ring_size(g, output_rows)) * sizeof(std::int64_t)) +
         whole_lines(static_cast<std::size_t>(g.kernel_height) * sizeof(Element*));
}

}  // namespace

template <class Element>
std::int64_t RowWindow<Element>::row_bytes(const ConvGeometry& g) {
  return slot_elements<Element>(g) * static_cast<std::int64_t>(sizeof(Element));
}

template <class Element>
std::size_t RowWindow<Element>::scratch_bytes(const ConvGeometry& g, int output_rows) {
  const std::int64_t rows = 1 + (used_in_place<Element>(g) ? 0 : ring_size(g, output_rows));
  return pointer_bytes<Element>(g, output_rows) +
         static_cast<std::size_t>(rows * slot_elements<Element>(g)) * sizeof(Element);
}

template <class Element>
RowWindow<Element>::RowWindow(const ConvGeometry& geometry, const std::uint8_t* input,
                              std::uint8_t zero_point, std::byte* scratch, int output_rows)
    : geometry_(geometry),
      input_(input),
      zero_point_(zero_point),
      in_place_(used_in_place<Element>(geometry)),
      row_elements_(padded_row_elements(geometry)),
      row_stride_(slot_elements<Element>(geometry)),
      ring_rows_(ring_size(geometry, output_rows)) {
  held_ = reinterpret_cast<std::int64_t*>(scratch);
  scratch += whole_lines(static_cast<std::size_t>(ring_rows_) * sizeof(std::int64_t));
  std::fill_n(held_, ring_rows_, -1);
  rows_ = reinterpret_cast<const Element**>(scratch);
  scratch += whole_lines(static_cast<std::size_t>(geometry.kernel_height) * sizeof(Element*));
  padding_row_ = reinterpret_cast<Element*>(scratch);
  ring_ = padding_row_ + row_stride_;
}

template <class Element>
void RowWindow<Element>::move_to(std::int64_t output_row) {
  const std::int64_t image = output_row / geometry_.out_height;
  const std::int64_t y = output_row % geometry_.out_height;
  for (int ky = 0; ky < geometry_.kernel_height; ++ky) {
    rows_[ky] = find_row(image, y * geometry_.stride_height - geometry_.pad_top +
                                    std::int64_t{ky} * geometry_.dilation_height);
  }
}

template <class Element>
const Element* RowWindow<Element>::find_row(std::int64_t image, std::int64_t y) {
  if (y < 0 || y >= geometry_.in_height) {
    if (!padding_row_filled_) std::fill_n(padding_row_, row_stride_, Element{zero_point_});
    padding_row_filled_ = true;
    return padding_row_;
  }
  const std::int64_t global = image * geometry_.in_height + y;
  const std::uint8_t* from = input_ + global * geometry_.in_width * geometry_.in_channels;
  if constexpr (std::is_same_v<Element, std::uint8_t>) {
    if (in_place_) return from;
  }
  // The rows that are valid together lie within ring_rows_ of each other: their slots differ.
  const std::int64_t slot = y % ring_rows_;
  Element* to = ring_ + slot * row_stride_;
  if (held_[slot] == global) return to;
  copy_row(from, to);
  held_[slot] = global;
  return to;
}

template <class Element>
void RowWindow<Element>::copy_row(const std::uint8_t* from, Element* to) const {
  const std::int64_t channels = geometry_.in_channels;
  const std::int64_t left = std::min(geometry_.pad_left * channels, row_elements_);
  const std::int64_t middle = std::min(geometry_.in_width * channels, row_elements_ - left);
  std::fill_n(to, left, Element{zero_point_});
  std::copy_n(from, middle, to + left);
  std::fill_n(to + left + middle, row_stride_ - left - middle, Element{zero_point_});
}

template class RowWindow<std::uint8_t>;
template class RowWindow<std::int16_t>;

}  // namespace octet::kernels
