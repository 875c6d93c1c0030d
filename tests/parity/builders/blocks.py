"""Layers with weights as trained networks have them: channels of different range, outputs of useful size."""

import numpy as np

from .net import compute


def he(net, shape, fan_in, spread=0.35):
    """Normal weights of variance 2 / fan_in; the first axis, the output channels, in different ranges."""
    scales = np.exp(net.rng.normal(0, spread, shape[0])).reshape(-1, *[1] * (len(shape) - 1))
    return (net.rng.standard_normal(shape) * np.sqrt(2 / fan_in) * scales).astype(np.float32)


def informed(net, x, weight):
    """What training adds to the random weights of a pointwise convolution: each output channel looks for some of the
    classes, as far as the mean input shows them. Without it a deep network loses what tells its samples apart."""
    directions, _ = classifier(net.values[x].mean((2, 3)), net.labels)
    extra = net.rng.standard_normal((len(weight), directions.shape[1])) @ directions.T
    norms = np.linalg.norm(weight[:, :, 0, 0], axis=1, keepdims=True) / np.linalg.norm(extra, axis=1, keepdims=True)
    return (extra * norms)[:, :, None, None].astype(np.float32)


def norm_parameters(net, channels):
    gamma = np.exp(net.rng.normal(-0.1, 0.35, channels))
    return gamma.astype(np.float32), net.rng.normal(0, 0.3, channels).astype(np.float32)


def statistics(y, axis=1):
    axes = tuple(a for a in range(y.ndim) if a != axis)
    return y.mean(axes, dtype=np.float64).astype(np.float32), (y.var(axes, dtype=np.float64) + 1e-3).astype(np.float32)


def pads_of(kernel, dilation, pads):
    if pads is not None:
        return list(pads)
    side = dilation * (kernel - 1) // 2
    return [side] * 4


def conv(net, x, out, kernel=3, stride=1, pads=None, groups=1, dilation=1, norm="fold", kind="weight", bias_gain=1.0):
    """A convolution followed by a BatchNorm with the statistics of the batch: folded into it, or kept as a node."""
    channels = net.shape(x)[1]
    weight = he(net, (out, channels // groups, kernel, kernel), channels // groups * kernel * kernel)
    if kernel == 1 and net.labels is not None:
        weight += informed(net, x, weight)
    attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads_of(kernel, dilation, pads),
                  "group": groups, "dilations": [dilation] * 2}
    mean, variance = statistics(compute("Conv", [net.values[x], weight], net.opset, **attributes)[0])
    gamma, beta = norm_parameters(net, out)
    beta = beta * bias_gain
    if norm == "fold":
        factor = gamma / np.sqrt(variance)
        names = [net.weight(weight * factor[:, None, None, None], kind),
                 net.weight(beta - mean * factor, "bias" if kind == "weight" else kind)]
        return net.op("Conv", x, *names, **attributes)
    y = net.op("Conv", x, net.weight(weight, kind), **attributes)
    return batch_norm(net, y, gamma, beta, mean, variance)


def batch_norm(net, x, gamma=None, beta=None, mean=None, variance=None):
    if gamma is None:
        gamma, beta = norm_parameters(net, net.shape(x)[1])
        mean, variance = statistics(net.values[x])
    with net.scope("norm"):
        names = [net.weight(gamma), net.weight(beta, "bias")]
        names += [net.weight(mean, "running_mean"), net.weight(variance, "running_var")]
        return net.op("BatchNormalization", x, *names, epsilon=1e-5)


def conv_transpose(net, x, out, kernel=2, stride=2, pads=0):
    channels = net.shape(x)[1]
    weight = he(net, (channels, out, kernel, kernel), channels)
    attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pads] * 4}
    mean, variance = statistics(compute("ConvTranspose", [net.values[x], weight], net.opset, **attributes)[0])
    gamma, beta = norm_parameters(net, out)
    factor = gamma / np.sqrt(variance)
    names = [net.weight(weight * factor[None, :, None, None]), net.weight(beta - mean * factor, "bias")]
    return net.op("ConvTranspose", x, *names, **attributes)


def dense_weights(net, x, out):
    """Weight [in,out] and bias whose product with x is normalised over the batch (last axis: features)."""
    features = net.shape(x)[-1]
    weight = he(net, (out, features), features).T
    flat = net.values[x].reshape(-1, features)
    mean, variance = statistics(flat @ weight)
    gamma, beta = norm_parameters(net, out)
    factor = gamma / np.sqrt(variance)
    return (weight * factor).astype(np.float32), (beta - mean * factor).astype(np.float32)


def gemm(net, x, units, weights=None, **attributes):
    """Gemm with transB = 1, as PyTorch writes Linear on two axes."""
    weight, bias = weights or dense_weights(net, x, units)
    return net.op("Gemm", x, net.weight(np.ascontiguousarray(weight.T)), net.weight(bias, "bias"), transB=1,
                  **attributes)


def fit(features, targets, strength=0.1):
    """Ridge regression: weight [in,out] and bias that map the features to the targets."""
    features, targets = features.astype(np.float64), targets.astype(np.float64)
    mean, centre = features.mean(0), targets.mean(0)
    x = features - mean
    gram = x.T @ x + strength * np.trace(x.T @ x) / x.shape[1] * np.eye(x.shape[1])
    weight = np.linalg.solve(gram, x.T @ (targets - centre))
    return weight.astype(np.float32), (centre - mean @ weight).astype(np.float32)


def one_hot(labels, classes=None):
    """Targets of a classifier: +4 for the class, -1 for the others."""
    return np.where(np.eye(classes or labels.max() + 1)[labels] > 0, 4.0, -1.0)


def classifier(features, labels):
    """Weight [in,classes] and bias of a trained last layer."""
    return fit(features.reshape(len(features), -1), one_hot(labels))
