#include "data/recipe.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto recipe = octet::parse_recipe({reinterpret_cast<const char*>(data), size});
  if (!recipe) return 0;
  const auto again = octet::parse_recipe(octet::to_json(*recipe));
  if (!again || !(*again == *recipe)) std::abort();
  return 0;
}
