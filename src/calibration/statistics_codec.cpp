#include <bit>
#include <cmath>
#include <string_view>

#include "calibration/statistics.h"
#include "core/file.h"
#include "core/hash.h"

namespace octet {
namespace {

constexpr std::string_view magic = "octstats";
constexpr std::uint64_t format_version = 1;
constexpr std::size_t checksum_size = 32;
/// More values than any model has; each may ask for 32 kB.
constexpr std::uint64_t most_channels = std::uint64_t{1} << 24U;
constexpr std::uint64_t most_values = 1U << 16U;

class Writer {
 public:
  void raw(std::string_view bytes) { bytes_ += bytes; }
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) bytes_ += static_cast<char>(value | 0x80U);
    bytes_ += static_cast<char>(value);
  }
  void text(std::string_view value) {
    number(value.size());
    raw(value);
  }
  void real(float value) { bits(std::bit_cast<std::uint32_t>(value), 4); }
  void real(double value) { bits(std::bit_cast<std::uint64_t>(value), 8); }
  [[nodiscard]] std::string take() { return std::move(bytes_); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void bits(std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes_ += static_cast<char>((value >> (8 * i)) & 0xffU);
  }
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  Result<std::string_view> raw(std::uint64_t count) {
    if (count > bytes_.size() - at_) return truncated();
    const auto part = bytes_.substr(at_, count);
    at_ += count;
    return part;
  }
  Result<std::uint64_t> number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      OCTET_ASSIGN(const auto part, raw(1));
      const auto byte = static_cast<std::uint64_t>(static_cast<unsigned char>(part[0]));
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7fU) << shift;
      if (byte < 0x80) {
        if (byte == 0 && shift > 0) break;  // only the shortest form is written
        return value;
      }
    }
    return bad_input("malformed number at byte {}", at_);
  }
  Result<std::string> text() {
    OCTET_ASSIGN(const auto size, number());
    OCTET_ASSIGN(const auto part, raw(size));
    return std::string(part);
  }
  Result<float> real32() {
    OCTET_ASSIGN(const auto value, bits(4));
    return std::bit_cast<float>(static_cast<std::uint32_t>(value));
  }
  Result<double> real64() {
    OCTET_ASSIGN(const auto value, bits(8));
    return std::bit_cast<double>(value);
  }
  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] bool done() const { return at_ == bytes_.size(); }

 private:
  Result<std::uint64_t> bits(std::size_t count) {
    OCTET_ASSIGN(const auto part, raw(count));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(part[i])) << (8 * i);
    }
    return value;
  }
  tl::unexpected<Error> truncated() const {
    return bad_input("ends too early, at byte {}", bytes_.size());
  }
  std::string_view bytes_;
  std::size_t at_ = 0;
};

}  // namespace

/// The only one that fills a Histogram or ChannelMeans other than by observing.
class StatisticsCodec {
 public:
  static void write(Writer& out, const Histogram& histogram) {
    out.number(histogram.non_finite_);
    out.number(histogram.total_);
    if (histogram.total_ == 0) return;
    out.real(histogram.minimum_);
    out.real(histogram.maximum_);
    std::uint64_t filled = 0;
    for (const auto count : histogram.counts_) filled += count > 0 ? 1 : 0;
    out.number(filled);
    std::uint64_t gap = 0;
    for (const auto count : histogram.counts_) {
      if (count == 0) {
        ++gap;
        continue;
      }
      out.number(gap);
      out.number(count);
      gap = 0;
    }
  }

  static Result<Histogram> read(Reader& in) {
    Histogram histogram;
    OCTET_ASSIGN(histogram.non_finite_, in.number());
    OCTET_ASSIGN(histogram.total_, in.number());
    if (histogram.total_ == 0) return histogram;
    OCTET_ASSIGN(histogram.minimum_, in.real32());
    OCTET_ASSIGN(histogram.maximum_, in.real32());
    if (!std::isfinite(histogram.minimum_) || !std::isfinite(histogram.maximum_) ||
        histogram.minimum_ > histogram.maximum_) {
      return bad_input("impossible range before byte {}", in.at());
    }
    OCTET_ASSIGN(const auto filled, in.number());
    if (filled == 0) return histogram;
    if (filled > Histogram::bin_count) return bad_input("too many bins before byte {}", in.at());
    const auto window = histogram_window(histogram.minimum_, histogram.maximum_);
    histogram.width_exponent_ = window.width_exponent;
    histogram.first_bin_ = window.first_bin;
    OCTET_TRY(read_counts(in, filled, histogram));
    return histogram;
  }

  static void write(Writer& out, const ChannelMeans& means) {
    out.number(means.valid_ ? 1 : 0);
    out.number(static_cast<std::uint64_t>(means.samples_));
    out.number(means.sums_.size());
    // Zigzag: small magnitudes of either sign stay short.
    for (const auto sum : means.sums_) {
      const auto bits = static_cast<std::uint64_t>(sum);
      out.number((bits << 1U) ^ (sum < 0 ? ~std::uint64_t{0} : 0));
    }
  }

  static Result<ChannelMeans> read_means(Reader& in) {
    ChannelMeans means;
    OCTET_ASSIGN(const auto valid, in.number());
    OCTET_ASSIGN(const auto samples, in.number());
    OCTET_ASSIGN(const auto channels, in.number());
    if (valid > 1 || samples > std::uint64_t{1} << 62U || channels > most_channels) {
      return bad_input("impossible channel means before byte {}", in.at());
    }
    means.valid_ = valid == 1;
    means.samples_ = static_cast<std::int64_t>(samples);
    for (std::uint64_t c = 0; c < channels; ++c) {
      OCTET_ASSIGN(const auto bits, in.number());
      means.sums_.push_back(
          static_cast<std::int64_t>((bits >> 1U) ^ ((bits & 1U) != 0 ? ~std::uint64_t{0} : 0)));
    }
    return means;
  }

 private:
  static Status read_counts(Reader& in, std::uint64_t filled, Histogram& histogram) {
    constexpr std::uint64_t bins = Histogram::bin_count;
    histogram.counts_.assign(bins, 0);
    std::uint64_t bin = 0;
    std::uint64_t total = 0;
    for (std::uint64_t i = 0; i < filled; ++i) {
      OCTET_ASSIGN(const auto gap, in.number());
      OCTET_ASSIGN(const auto count, in.number());
      if (gap >= bins - bin || count == 0 || count > histogram.total_ - total) {
        return bad_input("impossible bin before byte {}", in.at());
      }
      bin += gap;
      if (i == 0 && bin != bin_of(histogram, histogram.minimum_)) {
        return bad_input("first bin and minimum disagree before byte {}", in.at());
      }
      histogram.counts_[bin] = count;
      total += count;
      if (++bin == bins && i + 1 < filled) return bad_input("too many bins at byte {}", in.at());
    }
    if (total != histogram.total_ || bin - 1 != bin_of(histogram, histogram.maximum_)) {
      return bad_input("bins, total and maximum disagree before byte {}", in.at());
    }
    return {};
  }

  static std::uint64_t bin_of(const Histogram& histogram, float value) {
    const double scaled = std::ldexp(static_cast<double>(value), -histogram.width_exponent_);
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(std::floor(scaled)) -
                                      histogram.first_bin_);
  }
};

std::string encode(const Statistics& statistics) {
  Writer out;
  out.raw(magic);
  out.number(format_version);
  out.text(statistics.model_hash);
  out.text(statistics.data_fingerprint);
  out.text(statistics.recipe);
  out.number(static_cast<std::uint64_t>(statistics.samples));
  out.text(name(statistics.observer));
  out.number(statistics.values.size());
  for (const auto& [value, seen] : statistics.values) {
    out.text(value);
    StatisticsCodec::write(out, seen.histogram);
    StatisticsCodec::write(out, seen.means);
    if (statistics.observer != ObserverKind::moving_average) continue;
    out.real(seen.average_minimum);
    out.real(seen.average_maximum);
  }
  out.raw(content_hash(std::as_bytes(std::span(out.bytes()))));
  return out.take();
}

namespace {

Result<ValueStatistics> read_value(Reader& in, ObserverKind observer) {
  ValueStatistics seen;
  OCTET_ASSIGN(seen.histogram, StatisticsCodec::read(in));
  OCTET_ASSIGN(seen.means, StatisticsCodec::read_means(in));
  if (observer != ObserverKind::moving_average) return seen;
  OCTET_ASSIGN(seen.average_minimum, in.real64());
  OCTET_ASSIGN(seen.average_maximum, in.real64());
  if (!std::isfinite(seen.average_minimum) || !std::isfinite(seen.average_maximum)) {
    return bad_input("average that is not finite before byte {}", in.at());
  }
  return seen;
}

}  // namespace

Result<Statistics> decode_statistics(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(magic)) return bad_input("not a statistics file of octet");
  if (text.size() < magic.size() + checksum_size) {
    return bad_input("ends too early, at byte {}", text.size());
  }
  Reader in(text.substr(0, text.size() - checksum_size));
  OCTET_TRY(in.raw(magic.size()));
  OCTET_ASSIGN(const auto found, in.number());
  if (found != format_version) {
    return bad_input("statistics of version {}; this is {}", found, format_version);
  }
  const auto body = bytes.first(bytes.size() - checksum_size);
  if (content_hash(body) != text.substr(body.size())) {
    return bad_input("the statistics are damaged: their checksum does not fit");
  }
  Statistics statistics;
  OCTET_ASSIGN(statistics.model_hash, in.text());
  OCTET_ASSIGN(statistics.data_fingerprint, in.text());
  OCTET_ASSIGN(statistics.recipe, in.text());
  OCTET_ASSIGN(const auto samples, in.number());
  if (samples > std::uint64_t{1} << 62U) return bad_input("{} samples", samples);
  statistics.samples = static_cast<std::int64_t>(samples);
  OCTET_ASSIGN(const auto observer, in.text());
  const auto kind = observer_from_name(observer);
  if (!kind) return bad_input("unknown observer before byte {}", in.at());
  statistics.observer = *kind;
  OCTET_ASSIGN(const auto count, in.number());
  if (count > most_values) return bad_input("{} values", count);
  for (std::uint64_t i = 0; i < count; ++i) {
    OCTET_ASSIGN(auto value, in.text());
    if (!statistics.values.empty() && value <= statistics.values.rbegin()->first) {
      return bad_input("value {} is out of order", value);
    }
    auto seen = read_value(in, *kind);
    if (!seen) return tl::unexpected(seen.error().with_context("value " + value));
    statistics.values.emplace(std::move(value), std::move(*seen));
  }
  if (!in.done()) return bad_input("unexpected bytes from byte {} on", in.at());
  return statistics;
}

Result<Statistics> read_statistics(const std::filesystem::path& path) {
  OCTET_ASSIGN(const auto file, FileView::open(path));
  auto statistics = decode_statistics(file.bytes());
  if (!statistics) return tl::unexpected(statistics.error().with_context(path.string()));
  return statistics;
}

}  // namespace octet
