#include "engine/float/buffer_pool.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

namespace octet::float_engine {
namespace {

/// Below this the heap is as good.
constexpr std::size_t smallest_block = 16 * 1024;
/// A block is reused for a tensor of at least 1/8 of its size, so that small long-lived values do
/// not hold large blocks.
constexpr std::size_t largest_waste = 8;

struct Block {
  std::byte* memory = nullptr;
  std::size_t capacity = 0;
};

void free_block(const Block& block) {
  ::operator delete (block.memory, std::align_val_t{buffer_alignment});
}

thread_local BufferPool* current_pool = nullptr;

}  // namespace

struct BufferPool::Blocks {
  std::mutex mutex;
  std::vector<Block> free;

  Blocks() = default;
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;
  ~Blocks() {
    for (const auto& block : free) free_block(block);
  }

  Block take(std::size_t bytes) {
    const std::lock_guard lock(mutex);
    auto best = free.end();
    // The most recently freed of the smallest that fit: its lines are likeliest to be cached.
    for (auto it = free.begin(); it != free.end(); ++it) {
      if (it->capacity < bytes || it->capacity / largest_waste > bytes) continue;
      if (best == free.end() || it->capacity <= best->capacity) best = it;
    }
    if (best == free.end()) return {};
    const Block block = *best;
    free.erase(best);
    return block;
  }

  void give_back(const Block& block) {
    const std::lock_guard lock(mutex);
    free.push_back(block);
  }
};

BufferPool::BufferPool() : blocks_(std::make_shared<Blocks>()) {}

Result<Tensor> BufferPool::tensor(DType dtype, Shape shape) {
  OCTET_ASSIGN(const auto count, checked_element_count(shape));
  const std::size_t bytes = storage_bytes(dtype, count);
  if (bytes < smallest_block) return Tensor::create(dtype, std::move(shape));
  const std::size_t needed =
      (bytes + 2 * buffer_alignment - 1) / buffer_alignment * buffer_alignment;
  Block block = blocks_->take(needed);
  if (block.memory == nullptr) {
    void* memory = ::operator new (needed, std::align_val_t{buffer_alignment}, std::nothrow);
    if (memory == nullptr) return bad_input("not enough memory for {}", to_string(shape));
    block = {static_cast<std::byte*>(memory), needed};
  }
  std::shared_ptr<std::byte[]> storage(
      block.memory, [blocks = blocks_, block](std::byte*) { blocks->give_back(block); });
  return Tensor::over(dtype, std::move(shape), std::move(storage));
}

PoolScope::PoolScope(BufferPool& pool) : previous_(current_pool) { current_pool = &pool; }
PoolScope::~PoolScope() { current_pool = previous_; }

Result<Tensor> new_tensor(DType dtype, Shape shape) {
  if (current_pool != nullptr) return current_pool->tensor(dtype, std::move(shape));
  return Tensor::create(dtype, std::move(shape));
}

}  // namespace octet::float_engine
