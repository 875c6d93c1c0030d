"""Seeded synthetic data with structure, so that the outputs of a network differ from sample to sample."""

import numpy as np

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def smooth_fields(rng, count, size, cells):
    """[count,size,size] in about -1..1: bicubic-like fields of `cells` bumps on a side."""
    grid = rng.standard_normal((count, cells, cells))
    points = np.linspace(0, cells - 1, size)
    kernel = np.exp(-2 * (points[:, None] - np.arange(cells)[None]) ** 2)
    kernel /= np.sqrt((kernel ** 2).sum(1, keepdims=True))
    return np.einsum("ya,nab,xb->nyx", kernel, grid, kernel)


def gratings(angle, wavelength, phase, size):
    y, x = np.mgrid[:size, :size]
    angle, wavelength, phase = (np.asarray(v)[:, None, None] for v in (angle, wavelength, phase))
    return np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / wavelength + phase)


def to_image(channels_last):
    pixels = np.clip(0.5 + 0.22 * channels_last, 0, 1)
    pixels = np.round(pixels * 255) / 255
    return np.ascontiguousarray(((pixels - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2))


def textures(count, size, classes=8, seed=0):
    """Images f32 [count,3,size,size], normalised as for ImageNet, and labels: the class sets direction, wavelength and
    colour of a grating; light, contrast, phase and noise vary."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    angle = np.pi * labels / classes + rng.normal(0, 0.06, count)
    wavelength = np.where(labels % 2, 5.0, 9.0) * np.exp(rng.normal(0, 0.06, count))
    grating = gratings(angle, wavelength, rng.uniform(0, 2 * np.pi, count), size)
    hue = 2 * np.pi * (labels * 3 % classes) / classes
    tint = np.cos(hue[:, None] + np.array([0, 2.1, 4.2]))
    light = np.stack([smooth_fields(rng, count, size, 4) for _ in range(3)], -1)
    contrast = rng.uniform(0.5, 1.2, count)[:, None, None, None]
    tint = tint[:, None, None, :]
    pixels = contrast * grating[..., None] * (1 + 0.8 * tint) + 0.5 * light + 0.6 * tint
    return to_image(pixels + 0.1 * rng.standard_normal(pixels.shape)), labels


def regions(count, size, classes=4, seed=0):
    """Images made of regions of different texture, and the class of each pixel [count,size,size]."""
    rng = np.random.default_rng(seed)
    labels = np.stack([smooth_fields(rng, count, size, 4) for _ in range(classes)]).argmax(0)
    looks = [gratings(np.full(count, np.pi * c / classes), np.full(count, 4.0 + 2 * c),
                      rng.uniform(0, 6.28, count), size) for c in range(classes)]
    texture = np.take_along_axis(np.stack(looks), labels[None], 0)[0]
    hue = 2 * np.pi * labels / classes
    colour = 0.7 * np.cos(hue[..., None] + np.array([0, 2.1, 4.2]))
    pixels = colour + 0.7 * texture[..., None] * rng.uniform(0.5, 1.2, count)[:, None, None, None]
    return to_image(pixels + 0.15 * rng.standard_normal(pixels.shape)), labels


def sentences(count, length, vocabulary, classes=4, seed=0):
    """Token ids and mask i64 [count,length], and labels: each class prefers its part of the vocabulary."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    share = vocabulary // classes
    common = rng.zipf(1.3, (count, length)) % vocabulary
    special = labels[:, None] * share + rng.integers(0, share, (count, length))
    ids = np.where(rng.random((count, length)) < 0.5, special, common)
    mask = np.arange(length)[None] < rng.integers(length // 2, length + 1, count)[:, None]
    return np.where(mask, ids, 0).astype(np.int64), mask.astype(np.int64), labels


def spectra(count, width, classes=6, seed=0):
    """f32 [count,width] on a curved surface of eight dimensions, log-spectra like, and labels."""
    shape, rng = np.random.default_rng(7), np.random.default_rng(seed)
    directions, centres = shape.standard_normal((8, width)), shape.standard_normal((classes, 8))
    directions = np.stack([np.convolve(d, np.hanning(25) / 4, "same") for d in directions])
    labels = rng.integers(0, classes, count)
    latent = centres[labels] + 0.35 * rng.standard_normal((count, 8))
    x = 3 * np.tanh(latent @ directions * 0.6) - 1.5 + 0.1 * rng.standard_normal((count, width))
    return x.astype(np.float32), labels
