#include "data/recipe.h"

#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "data/preprocess.h"

namespace octet {
namespace {

using Json = nlohmann::json;

constexpr int max_side = 16384;
constexpr int max_label_offset = 1'000'000;

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

Result<int> integer(const std::string& field, const Json& value, int low, int high) {
  if (!value.is_number_integer()) {
    return bad_input("recipe: {} must be an integer, found {}", field, value.type_name());
  }
  const bool beyond = value.is_number_unsigned() &&
                      value.get<std::uint64_t>() > static_cast<std::uint64_t>(max_label_offset);
  const auto number = beyond ? std::int64_t{high} + 1 : value.get<std::int64_t>();
  if (number < low || number > high) {
    return bad_input("recipe: {} must be from {} to {}", field, low, high);
  }
  return static_cast<int>(number);
}

Result<double> number(const std::string& field, const Json& value) {
  if (!value.is_number()) {
    return bad_input("recipe: {} must be a number, found {}", field, value.type_name());
  }
  const double result = value.get<double>();
  if (!std::isfinite(result) || !std::isfinite(static_cast<float>(result))) {
    return bad_input("recipe: {} is too large", field);
  }
  return result;
}

/// One number, or a list with one per channel.
Result<std::vector<float>> per_channel(const std::string& field, const Json& value) {
  std::vector<float> out;
  if (!value.is_array()) {
    OCTET_ASSIGN(const double single, number(field, value));
    out.push_back(static_cast<float>(single));
    return out;
  }
  if (value.size() != 1 && value.size() != 3) {
    return bad_input("recipe: {} must have 1 or 3 numbers, not {}", field, value.size());
  }
  for (const auto& item : value) {
    OCTET_ASSIGN(const double single, number(field, item));
    out.push_back(static_cast<float>(single));
  }
  return out;
}

Result<ColorOrder> color_order(const Json& value) {
  if (value.is_string()) {
    const auto text = lower(value.get<std::string>());
    if (text == "rgb") return ColorOrder::rgb;
    if (text == "bgr") return ColorOrder::bgr;
    if (text == "gray") return ColorOrder::gray;
  }
  return bad_input("recipe: color must be \"RGB\", \"BGR\" or \"gray\"");
}

Status set_field(Recipe& recipe, const std::string& field, const Json& value) {
  if (field == "resize_shorter") {
    OCTET_ASSIGN(recipe.resize_shorter, integer(field, value, 0, max_side));
  } else if (field == "crop") {
    OCTET_ASSIGN(recipe.crop, integer(field, value, 0, max_side));
  } else if (field == "resize_width") {
    OCTET_ASSIGN(recipe.resize_width, integer(field, value, 0, max_side));
  } else if (field == "resize_height") {
    OCTET_ASSIGN(recipe.resize_height, integer(field, value, 0, max_side));
  } else if (field == "color") {
    OCTET_ASSIGN(recipe.color, color_order(value));
  } else if (field == "mean") {
    OCTET_ASSIGN(recipe.mean, per_channel(field, value));
  } else if (field == "std") {
    OCTET_ASSIGN(recipe.std, per_channel(field, value));
  } else if (field == "scale") {
    OCTET_ASSIGN(recipe.scale, number(field, value));
  } else if (field == "label_offset") {
    OCTET_ASSIGN(recipe.label_offset, integer(field, value, -max_label_offset, max_label_offset));
  } else {
    return bad_input(
        "recipe: unknown field {} (known: resize_shorter, crop, resize_width, resize_height, "
        "color, mean, std, scale, label_offset)",
        Json(field).dump(-1, ' ', true, Json::error_handler_t::replace));
  }
  return {};
}

Status check_consistent(const Recipe& recipe) {
  for (const float value : recipe.std) {
    if (value == 0.0F) return bad_input("recipe: std must not be 0");
  }
  if (static_cast<float>(recipe.scale) == 0.0F) return bad_input("recipe: scale must not be 0");
  if ((recipe.resize_width == 0) != (recipe.resize_height == 0)) {
    return bad_input("recipe: resize_width and resize_height go together");
  }
  if (recipe.resize_shorter != 0 && recipe.resize_width != 0) {
    return bad_input("recipe: resize_shorter contradicts resize_width and resize_height");
  }
  const auto channels = recipe.color == ColorOrder::gray ? std::size_t{1} : std::size_t{3};
  for (const auto* values : {&recipe.mean, &recipe.std}) {
    if (values->size() > channels) {
      return bad_input("recipe: {} has {} numbers, but color gray gives one channel",
                       values == &recipe.mean ? "mean" : "std", values->size());
    }
  }
  return {};
}

}  // namespace

Result<Recipe> parse_recipe(std::string_view json) {
  try {
    const Json document = Json::parse(json.begin(), json.end());
    if (!document.is_object()) return bad_input("recipe: expected a JSON object in braces");
    Recipe recipe;
    for (const auto& [field, value] : document.items()) {
      OCTET_TRY(set_field(recipe, field, value));
    }
    OCTET_TRY(check_consistent(recipe));
    return recipe;
  } catch (const Json::parse_error& error) {
    return bad_input("recipe: not valid JSON at byte {}", error.byte);
  } catch (const Json::exception& error) {
    return bad_input("recipe: not valid JSON: {}", error.what());
  }
}

std::string to_json(const Recipe& recipe) {
  std::string text = "{";
  const auto add = [&](std::string_view field, const std::string& value) {
    text += fmt::format("{}\"{}\": {}", text.size() > 1 ? ", " : "", field, value);
  };
  if (recipe.resize_shorter != 0) add("resize_shorter", fmt::format("{}", recipe.resize_shorter));
  if (recipe.resize_width != 0) add("resize_width", fmt::format("{}", recipe.resize_width));
  if (recipe.resize_height != 0) add("resize_height", fmt::format("{}", recipe.resize_height));
  if (recipe.crop != 0) add("crop", fmt::format("{}", recipe.crop));
  add("color", recipe.color == ColorOrder::gray  ? "\"gray\""
               : recipe.color == ColorOrder::bgr ? "\"BGR\""
                                                 : "\"RGB\"");
  // fmt prints the shortest digits that read back as the same number.
  if (!recipe.mean.empty()) add("mean", fmt::format("[{}]", fmt::join(recipe.mean, ", ")));
  if (!recipe.std.empty()) add("std", fmt::format("[{}]", fmt::join(recipe.std, ", ")));
  add("scale", fmt::format("{}", recipe.scale));
  add("label_offset", fmt::format("{}", recipe.label_offset));
  return text + "}";
}

}  // namespace octet
