#pragma once
// Memory of activations, recycled: large tensors that come and go with each layer would otherwise
// be mapped and unmapped by the allocator every time.

#include <cstddef>
#include <memory>

#include "core/result.h"
#include "core/tensor.h"

namespace octet::float_engine {

/// Blocks return to the pool when the last Tensor over them goes. Tensors may outlive the pool.
class BufferPool {
 public:
  BufferPool();
  [[nodiscard]] Result<Tensor> tensor(DType dtype, Shape shape);

 private:
  struct Blocks;
  std::shared_ptr<Blocks> blocks_;
};

/// While it lives, new_tensor() on this thread takes memory from `pool`.
class PoolScope {
 public:
  explicit PoolScope(BufferPool& pool);
  ~PoolScope();
  PoolScope(const PoolScope&) = delete;
  PoolScope& operator=(const PoolScope&) = delete;

 private:
  BufferPool* previous_;
};

/// Uninitialised tensor for a result, from the pool in scope or else from the heap. Fails when the
/// shape is not a sane size.
[[nodiscard]] Result<Tensor> new_tensor(DType dtype, Shape shape);

}  // namespace octet::float_engine
