"""Two small image classifiers in plain numpy: layers with their gradients, and training by Adam."""

import numpy as np


class Parameter:
    def __init__(self, value):
        self.value = np.asarray(value, np.float32)
        self.gradient = np.zeros_like(self.value)
        self.first, self.second = np.zeros_like(self.value), np.zeros_like(self.value)


class Conv:
    """Convolution [N,C,H,W], square kernel, padding kernel // 2. groups is 1, or C (depthwise)."""

    op = "Conv"

    def __init__(self, rng, inputs, outputs, kernel, stride=1, groups=1):
        fan_in = inputs // groups * kernel * kernel
        shape = (outputs, inputs // groups, kernel, kernel)
        self.weight = Parameter(rng.standard_normal(shape) * np.sqrt(2 / fan_in))
        self.kernel, self.stride, self.groups, self.pad = kernel, stride, groups, kernel // 2
        self.parameters = [self.weight]

    def windows(self, x):
        p, k, s = self.pad, self.kernel, self.stride
        self.padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        view = np.lib.stride_tricks.sliding_window_view(self.padded, (k, k), (2, 3))
        return np.ascontiguousarray(view[:, :, ::s, ::s])  # [N,C,OH,OW,k,k]

    def forward(self, x, training):
        self.patches = self.windows(x)
        n, c, oh, ow = self.patches.shape[:4]
        if self.groups == 1:
            rows = self.patches.transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, -1)
            y = rows @ self.weight.value.reshape(len(self.weight.value), -1).T
            return y.reshape(n, oh, ow, -1).transpose(0, 3, 1, 2)
        return np.einsum("nchwij,cij->nchw", self.patches, self.weight.value[:, 0])

    def backward(self, gradient):
        w = self.weight.value
        n, outputs, oh, ow = gradient.shape
        if self.groups == 1:
            flat = gradient.transpose(0, 2, 3, 1).reshape(-1, outputs)
            rows = self.patches.transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, -1)
            self.weight.gradient = (flat.T @ rows).reshape(w.shape)
            patches = (flat @ w.reshape(outputs, -1)).reshape(n, oh, ow, -1, self.kernel, self.kernel)
            patches = patches.transpose(0, 3, 1, 2, 4, 5)
        else:
            self.weight.gradient = np.einsum("nchw,nchwij->cij", gradient, self.patches)[:, None]
            patches = gradient[..., None, None] * w[None, :, 0, None, None]
        back = np.zeros_like(self.padded)
        for i in range(self.kernel):
            for j in range(self.kernel):
                rows = slice(i, i + oh * self.stride, self.stride)
                columns = slice(j, j + ow * self.stride, self.stride)
                back[:, :, rows, columns] += patches[..., i, j]
        p = self.pad
        return back[:, :, p:back.shape[2] - p, p:back.shape[3] - p]


class BatchNorm:
    op = "BatchNormalization"
    epsilon = 1e-5

    def __init__(self, channels):
        self.gamma, self.beta = Parameter(np.ones(channels)), Parameter(np.zeros(channels))
        self.mean, self.variance = np.zeros(channels, np.float32), np.ones(channels, np.float32)
        self.parameters = [self.gamma, self.beta]

    def forward(self, x, training):
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
            self.mean += 0.1 * (mean - self.mean)
            self.variance += 0.1 * (variance - self.variance)
        self.inverse = 1 / np.sqrt(variance + self.epsilon)
        self.normal = (x - mean[:, None, None]) * self.inverse[:, None, None]
        return self.normal * self.gamma.value[:, None, None] + self.beta.value[:, None, None]

    def backward(self, gradient):
        self.gamma.gradient = (gradient * self.normal).sum((0, 2, 3))
        self.beta.gradient = gradient.sum((0, 2, 3))
        count = gradient.size / gradient.shape[1]
        centered = (gradient - (self.beta.gradient / count)[:, None, None]
                    - self.normal * (self.gamma.gradient / count)[:, None, None])
        return centered * (self.gamma.value * self.inverse)[:, None, None]


class Relu:
    op = "Relu"
    parameters = []

    def forward(self, x, training):
        self.mask = x > 0
        return x * self.mask

    def backward(self, gradient):
        return gradient * self.mask


class GlobalAveragePool:
    op = "GlobalAveragePool"
    parameters = []

    def forward(self, x, training):
        self.shape = x.shape
        return x.mean((2, 3), keepdims=True)

    def backward(self, gradient):
        return np.broadcast_to(gradient / (self.shape[2] * self.shape[3]), self.shape)


class Flatten:
    op = "Flatten"
    parameters = []

    def forward(self, x, training):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, gradient):
        return gradient.reshape(self.shape)


class Gemm:
    """y = x * weight^T + bias"""

    op = "Gemm"

    def __init__(self, rng, inputs, outputs):
        self.weight = Parameter(rng.standard_normal((outputs, inputs)) * np.sqrt(2 / inputs))
        self.bias = Parameter(np.zeros(outputs))
        self.parameters = [self.weight, self.bias]

    def forward(self, x, training):
        self.x = x
        return x @ self.weight.value.T + self.bias.value

    def backward(self, gradient):
        self.weight.gradient, self.bias.gradient = gradient.T @ self.x, gradient.sum(0)
        return gradient @ self.weight.value


class Sequence:
    def __init__(self, *layers):
        self.layers = layers

    @property
    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters]

    def forward(self, x, training=False):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, gradient):
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient


class Residual(Sequence):
    """x + layers(x)"""

    def forward(self, x, training=False):
        return x + super().forward(x, training)

    def backward(self, gradient):
        return gradient + super().backward(gradient)


def augmented(rng, x):
    """A fifth of the images moved by up to one pixel, and noise on all."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = np.where(rng.random((len(x), 1)) < 0.2, rng.integers(0, 3, (len(x), 2)), 1)
    moved = np.stack([p[:, i:i + 8, j:j + 8] for p, (i, j) in zip(padded, moves)])
    return moved + 0.1 * rng.standard_normal(x.shape, np.float32)


def train(network, x, y, epochs, rng, rate=3e-3, batch=64):
    """Cross-entropy by Adam with a cosine schedule, weight decay and augmentation."""
    steps, step = epochs * (len(x) // batch), 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            chosen = order[start:start + batch]
            logits = network.forward(augmented(rng, x[chosen]), training=True)
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            p[np.arange(batch), y[chosen]] -= 1
            network.backward((p / batch).astype(np.float32))
            step += 1
            now = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            for q in network.parameters:
                gradient = q.gradient + (1e-3 * q.value if q.value.ndim > 1 else 0)
                q.first += 0.1 * (gradient - q.first)
                q.second += 0.001 * (gradient * gradient - q.second)
                update = q.first / (1 - 0.9 ** step)
                q.value -= now * update / (np.sqrt(q.second / (1 - 0.999 ** step)) + 1e-8)
