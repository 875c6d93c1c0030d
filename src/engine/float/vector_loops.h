#pragma once
// The hot elementwise loops, compiled for several instruction sets and picked when the program
// loads. Every version computes the same bits: no reassociation, no fused multiply-add.
// Output ranges do not overlap inputs.

#include <cstdint>

namespace octet::float_engine::loops {

/// A step is 1, or 0 for an operand that is one repeated element.
using BinaryF32 = void (*)(const float* a, int a_step, const float* b, int b_step, float* out,
                           std::int64_t n);
void add(const float* a, int a_step, const float* b, int b_step, float* out, std::int64_t n);
void subtract(const float* a, int a_step, const float* b, int b_step, float* out, std::int64_t n);
void multiply(const float* a, int a_step, const float* b, int b_step, float* out, std::int64_t n);
void divide(const float* a, int a_step, const float* b, int b_step, float* out, std::int64_t n);
void maximum(const float* a, int a_step, const float* b, int b_step, float* out, std::int64_t n);
void minimum(const float* a, int a_step, const float* b, int b_step, float* out, std::int64_t n);

/// p and q are the operator's parameters.
using UnaryF32 = void (*)(const float* x, float* out, std::int64_t n, float p, float q);
void relu(const float* x, float* out, std::int64_t n, float p, float q);
void leaky_relu(const float* x, float* out, std::int64_t n, float slope, float q);
void clip(const float* x, float* out, std::int64_t n, float low, float high);
void hard_sigmoid(const float* x, float* out, std::int64_t n, float alpha, float beta);
void hard_swish(const float* x, float* out, std::int64_t n, float p, float q);
void negate(const float* x, float* out, std::int64_t n, float p, float q);
void square_root(const float* x, float* out, std::int64_t n, float p, float q);

/// out[i] = x[i] * scale + shift.
void scale_shift(const float* x, float scale, float shift, float* out, std::int64_t n);
/// The same with one scale and shift for each element.
void scale_shift_each(const float* x, const float* scale, const float* shift, float* out,
                      std::int64_t n);
/// accumulator[i] = max(accumulator[i], x[i]).
void maximum_into(float* accumulator, const float* x, std::int64_t n);
/// accumulator[i] += x[i].
void add_into(float* accumulator, const float* x, std::int64_t n);
void add_into_double(double* accumulator, const float* x, std::int64_t n);

}  // namespace octet::float_engine::loops
