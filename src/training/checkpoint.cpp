#include "training/checkpoint.h"

#include <cstring>

#include "core/file.h"
#include "core/hash.h"

namespace octet {
namespace {

constexpr std::string_view magic = "octet training 1\n";

class Writer {
 public:
  template <class T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view value) {
    number(static_cast<std::uint64_t>(value.size()));
    bytes_.append(value);
  }
  void floats(std::span<const float> values) {
    number(static_cast<std::uint64_t>(values.size()));
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  void parameters(const Parameters& values) {
    number(static_cast<std::uint64_t>(values.size()));
    for (const auto& [id, tensor] : values) {
      number(static_cast<std::int32_t>(id));
      number(static_cast<std::uint64_t>(tensor.shape().size()));
      for (const auto extent : tensor.shape()) number(extent);
      floats(tensor.values<float>());
    }
  }
  void epoch(const EpochResult& e) {
    number(e.epoch);
    number(e.loss);
    number(e.accuracy);
    number(e.held_back_accuracy.value_or(-1));
    number(e.learning_rate);
    number(e.seconds);
    number(e.images_per_second);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what Writer wrote; beyond the end everything is 0 and ok() false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  T number() {
    T value{};
    if (!take(sizeof value)) return value;
    std::memcpy(&value, bytes_.data() + at_ - sizeof value, sizeof value);
    return value;
  }
  std::string text() {
    const auto size = number<std::uint64_t>();
    if (!take(size)) return {};
    return std::string(bytes_.substr(at_ - size, size));
  }
  std::vector<float> floats() {
    const auto count = number<std::uint64_t>();
    if (count > bytes_.size() || !take(count * sizeof(float))) return {};
    if (count == 0) return {};
    std::vector<float> values(count);
    std::memcpy(values.data(), bytes_.data() + at_ - count * sizeof(float), count * sizeof(float));
    return values;
  }
  Parameters parameters() {
    Parameters all;
    const auto count = number<std::uint64_t>();
    for (std::uint64_t i = 0; i < count && ok_; ++i) {
      const auto id = static_cast<ValueId>(number<std::int32_t>());
      const auto rank = number<std::uint64_t>();
      if (rank > 16) ok_ = false;
      Shape shape;
      for (std::uint64_t k = 0; k < rank && ok_; ++k) shape.push_back(number<std::int64_t>());
      const auto values = floats();
      std::int64_t expected = 1;
      for (const auto extent : shape) expected *= extent;
      if (expected != static_cast<std::int64_t>(values.size())) ok_ = false;
      if (ok_) all.emplace(id, Tensor::from<float>(values, shape));
    }
    return all;
  }
  EpochResult epoch() {
    EpochResult e;
    e.epoch = number<std::int64_t>();
    e.loss = number<double>();
    e.accuracy = number<double>();
    const auto held_back = number<double>();
    if (held_back >= 0) e.held_back_accuracy = held_back;
    e.learning_rate = number<double>();
    e.seconds = number<double>();
    e.images_per_second = number<double>();
    return e;
  }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  bool take(std::uint64_t count) {
    if (!ok_ || count > bytes_.size() - at_) {
      ok_ = false;
      return false;
    }
    at_ += count;
    return true;
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

std::string encode(const std::string& fingerprint, const TrainingState& state) {
  Writer w;
  w.text(fingerprint);
  w.number(state.epoch);
  w.number(state.step);
  w.number(state.position);
  w.number(state.loss_sum);
  w.number(state.correct);
  w.number(state.epoch_seconds);
  w.parameters(state.parameters);
  w.number(static_cast<std::uint64_t>(state.moments.size()));
  for (const auto& [id, moments] : state.moments) {
    w.number(static_cast<std::int32_t>(id));
    w.floats(moments.first);
    w.floats(moments.second);
  }
  w.number(state.best_accuracy.value_or(-1));
  w.number(state.best_epoch);
  w.parameters(state.best_parameters);
  w.number(static_cast<std::uint64_t>(state.epochs.size()));
  for (const auto& epoch : state.epochs) w.epoch(epoch);
  return w.take();
}

}  // namespace

Status write_checkpoint(const std::filesystem::path& path, const std::string& fingerprint,
                        const TrainingState& state) {
  const auto body = encode(fingerprint, state);
  const auto hash = content_hash(std::as_bytes(std::span(body)));
  return write_file(path, std::string_view(std::string(magic) + hash + body));
}

Result<TrainingState> read_checkpoint(const std::filesystem::path& path,
                                      const std::string& fingerprint) {
  OCTET_ASSIGN(const auto file, FileView::open(path));
  constexpr std::size_t hash_size = 32;
  const auto text = file.text();
  if (text.substr(0, magic.size()) != magic || text.size() < magic.size() + hash_size) {
    return bad_input("{} is no checkpoint of octet", path.string());
  }
  const auto body = text.substr(magic.size() + hash_size);
  if (content_hash(std::as_bytes(std::span(body))) != text.substr(magic.size(), hash_size)) {
    return bad_input("{} is damaged", path.string());
  }
  Reader r(body);
  if (r.text() != fingerprint) {
    return bad_input("{} belongs to a run with another model, other data or other options",
                     path.string());
  }
  TrainingState state;
  state.epoch = r.number<std::int64_t>();
  state.step = r.number<std::int64_t>();
  state.position = r.number<std::int64_t>();
  state.loss_sum = r.number<double>();
  state.correct = r.number<std::int64_t>();
  state.epoch_seconds = r.number<double>();
  state.parameters = r.parameters();
  const auto count = r.number<std::uint64_t>();
  for (std::uint64_t i = 0; i < count && r.ok(); ++i) {
    const auto id = static_cast<ValueId>(r.number<std::int32_t>());
    auto& moments = state.moments[id];
    moments.first = r.floats();
    moments.second = r.floats();
  }
  if (const auto best = r.number<double>(); best >= 0) state.best_accuracy = best;
  state.best_epoch = r.number<std::int64_t>();
  state.best_parameters = r.parameters();
  const auto epochs = r.number<std::uint64_t>();
  for (std::uint64_t i = 0; i < epochs && r.ok(); ++i) state.epochs.push_back(r.epoch());
  if (!r.ok()) return bad_input("{} is cut off", path.string());
  return state;
}

}  // namespace octet
