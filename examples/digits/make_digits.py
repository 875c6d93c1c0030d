#!/usr/bin/env python3
"""Makes the data files of this folder; the models are octet's own (examples/models/make.sh).

    python3 -m venv v && v/bin/pip install numpy pillow scikit-learn
    v/bin/python examples/digits/make_digits.py

The images are those of scikit-learn's load_digits (ATTRIBUTION.md). Their values 0..16 are stored as
bytes, round(v * 255 / 16). 360 of the 1,797, evenly over the classes, are the test set.
"""

import gzip
import json
import pathlib
import shutil
import struct

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = pathlib.Path(__file__).parent
RECIPE = {"color": "gray", "scale": 1 / 255}
TEST_COUNT, FOLDER_PER_CLASS, SEED = 360, 20, 7


def split(labels):
    """Indices of the training and the test set, each in the order of the source."""
    rng = np.random.default_rng(SEED)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        test[rng.permutation(members)[:TEST_COUNT // 10]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def write_idx(name, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    data = gzip.compress(header + array.astype(np.uint8).tobytes(), 9, mtime=0)
    (HERE / name).write_bytes(data)


def write_folder(pixels, labels):
    """The first images of each class of the test set once more, as PNG in class folders."""
    shutil.rmtree(HERE / "images", ignore_errors=True)
    for digit in range(10):
        folder = HERE / "images" / str(digit)
        folder.mkdir(parents=True)
        for i, index in enumerate(np.flatnonzero(labels == digit)[:FOLDER_PER_CLASS]):
            Image.fromarray(pixels[index]).save(folder / f"{i:02}.png", optimize=True)


def main():
    source = load_digits()
    pixels = np.floor(source.images * 255 / 16 + 0.5).astype(np.uint8)
    labels = source.target
    training, test = split(labels)
    for prefix, chosen in ("train", training), ("t10k", test):
        write_idx(f"{prefix}-images-idx3-ubyte.gz", pixels[chosen])
        write_idx(f"{prefix}-labels-idx1-ubyte.gz", labels[chosen])
    write_folder(pixels[test], labels[test])
    (HERE / "recipe.json").write_text(json.dumps(RECIPE) + "\n")


if __name__ == "__main__":
    main()
