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
/// a where it is not negative, else a * b.
void parametric_relu(const float* a, int a_step, const float* b, int b_step, float* out,
                     std::int64_t n);

/// p and q are the operator's parameters.
using UnaryF32 = void (*)(const float* x, float* out, std::int64_t n, float p, float q);
void relu(const float* x, float* out, std::int64_t n, float p, float q);
void leaky_relu(const float* x, float* out, std::int64_t n, float slope, float q);
void clip(const float* x, float* out, std::int64_t n, float low, float high);
void hard_sigmoid(const float* x, float* out, std::int64_t n, float alpha, float beta);
void hard_swish(const float* x, float* out, std::int64_t n, float p, float q);
void negate(const float* x, float* out, std::int64_t n, float p, float q);
void square_root(const float* x, float* out, std::int64_t n, float p, float q);

void absolute(const float* x, float* out, std::int64_t n, float p, float q);
void reciprocal(const float* x, float* out, std::int64_t n, float p, float q);
void floor(const float* x, float* out, std::int64_t n, float p, float q);
void ceiling(const float* x, float* out, std::int64_t n, float p, float q);
/// Half to even.
void nearest(const float* x, float* out, std::int64_t n, float p, float q);
void square(const float* x, float* out, std::int64_t n, float p, float q);
void thresholded_relu(const float* x, float* out, std::int64_t n, float alpha, float q);
void softsign(const float* x, float* out, std::int64_t n, float p, float q);
// The functions of vector_math.h.
void exponential(const float* x, float* out, std::int64_t n, float p, float q);
void logarithm(const float* x, float* out, std::int64_t n, float p, float q);
void error_function(const float* x, float* out, std::int64_t n, float p, float q);
void sigmoid(const float* x, float* out, std::int64_t n, float p, float q);
void hyperbolic_tangent(const float* x, float* out, std::int64_t n, float p, float q);
void softplus(const float* x, float* out, std::int64_t n, float p, float q);
void mish(const float* x, float* out, std::int64_t n, float p, float q);
void gelu(const float* x, float* out, std::int64_t n, float p, float q);
void gelu_tanh(const float* x, float* out, std::int64_t n, float p, float q);
/// x * sigmoid(alpha * x)
void swish(const float* x, float* out, std::int64_t n, float alpha, float q);
/// x > 0 ? gain * x : scale * (exp(x) - 1)
void elu(const float* x, float* out, std::int64_t n, float scale, float gain);
/// max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
void celu(const float* x, float* out, std::int64_t n, float alpha, float q);

/// Sums in double, in 16 lanes that are added at the end.
double sum(const float* x, std::int64_t n);
/// Sum of (x - mean)^2.
double sum_of_squares(const float* x, std::int64_t n, double mean);
/// Largest element, NaN left out; -infinity when there is none.
float largest(const float* x, std::int64_t n);
/// out[i] = exp(x[i] - shift).
void exponential_of_difference(const float* x, float shift, float* out, std::int64_t n);
/// out[i] = (x[i] - mean) * factor + shift.
void normalize(const float* x, float mean, float factor, float shift, float* out, std::int64_t n);
/// out[i] = (x[i] - mean) * factor * scale[i] + shift[i].
void normalize_each(const float* x, float mean, float factor, const float* scale,
                    const float* shift, float* out, std::int64_t n);

/// out[i] = x[i] * scale + shift.
void scale_shift(const float* x, float scale, float shift, float* out, std::int64_t n);
/// The same with one scale and shift for each element.
void scale_shift_each(const float* x, const float* scale, const float* shift, float* out,
                      std::int64_t n);
/// values[i] /= divisor.
void divide_by(float* values, float divisor, std::int64_t n);
/// values[i] /= divisors[i].
void divide_by_each(float* values, const float* divisors, std::int64_t n);
/// accumulator[i] = max(accumulator[i], x[i]).
void maximum_into(float* accumulator, const float* x, std::int64_t n);
/// accumulator[i] += x[i].
void add_into(float* accumulator, const float* x, std::int64_t n);
/// sums[i] += x[0] * rows[0][i] + ... + x[count - 1] * rows[count - 1][i], one after the other;
/// `rows` is [count, n].
void add_scaled_rows(const float* x, const float* rows, std::int64_t count, float* sums,
                     std::int64_t n);
void add_into_double(double* accumulator, const float* x, std::int64_t n);

}  // namespace octet::float_engine::loops
