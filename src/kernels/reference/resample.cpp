#include "kernels/resample.h"

namespace octet::kernels {

void resample(const ResampleGeometry& geometry, const std::uint8_t* input, std::uint8_t* output,
              std::int64_t first_row, std::int64_t last_row) {
  const auto height = static_cast<std::int64_t>(geometry.rows.size());
  const std::int64_t channels = geometry.channels;
  const std::int64_t row_bytes = geometry.in_width * channels;
  const std::int32_t offset = geometry.offset;
  std::uint8_t* out =
      output + first_row * static_cast<std::int64_t>(geometry.columns.size()) * channels;
  for (std::int64_t row = first_row; row < last_row; ++row) {
    const auto& y = geometry.rows[static_cast<std::size_t>(row % height)];
    const std::uint8_t* image = input + row / height * geometry.in_height * row_bytes;
    const std::uint8_t* top = image + y.lower * row_bytes;
    const std::uint8_t* bottom = image + y.upper * row_bytes;
    for (const auto& x : geometry.columns) {
      const std::int64_t left = x.lower * channels;
      const std::int64_t right = x.upper * channels;
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int32_t code =
            litert::resample(geometry.form, y, x, top[left + c] - offset, top[right + c] - offset,
                             bottom[left + c] - offset, bottom[right + c] - offset);
        *out++ = static_cast<std::uint8_t>(code + offset);
      }
    }
  }
}

}  // namespace octet::kernels
