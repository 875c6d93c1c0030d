#!/usr/bin/env python3
"""Quantization-aware training of ResNet-20 for CIFAR-10: octet train beside PyTorch (torch.ao FakeQuantize), W8A8, batch 128,
by turns in one run. Prints images/s, peak memory and the ratios.

    python3 -m venv build/venv-torch && build/venv-torch/bin/pip install torch numpy       # 5.4 GB
    build/venv/bin/python bench/training.py BUILD_FOLDER [--threads 2] [--images 2560] [--turns 3] [--float]

Both train the network of examples/networks.cpp on the same number of random images. PyTorch keeps its BatchNormalization and
has FakeQuantize with moving-average observers on weights (per channel) and activations (per tensor), as its prepare_qat sets up;
octet trains BatchNormalization and learns its scales. --float: both without quantization. An epoch before the measured ones
is not counted: it holds the start (imports, compilation, calibration)."""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
TORCH = ROOT / "build" / "venv-torch" / "bin" / "python"
BATCH = 128


def torch_network(quantized):
    import torch
    from torch import nn
    from torch.ao.quantization import FakeQuantize, MovingAverageMinMaxObserver, MovingAveragePerChannelMinMaxObserver

    def of_activations():
        return FakeQuantize(MovingAverageMinMaxObserver, quant_min=0, quant_max=255, dtype=torch.quint8) if quantized else nn.Identity()

    def of_weights():
        return FakeQuantize(MovingAveragePerChannelMinMaxObserver, quant_min=-127, quant_max=127, dtype=torch.qint8,
                            qscheme=torch.per_channel_symmetric, ch_axis=0) if quantized else nn.Identity()

    class Conv(nn.Conv2d):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.fake = of_weights()

        def forward(self, x):
            return self._conv_forward(x, self.fake(self.weight), None)

    class Linear(nn.Linear):
        def __init__(self, *args):
            super().__init__(*args)
            self.fake = of_weights()

        def forward(self, x):
            return nn.functional.linear(x, self.fake(self.weight), self.bias)

    def norm(inputs, outputs, kernel, stride=1):
        return nn.Sequential(Conv(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs))

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.first = nn.Sequential(norm(inputs, outputs, 3, stride), nn.ReLU(), of_activations())
            self.second = nn.Sequential(norm(outputs, outputs, 3), of_activations())
            self.short = nn.Sequential(norm(inputs, outputs, 1, stride), of_activations()) if stride > 1 else nn.Identity()
            self.last = of_activations()

        def forward(self, x):
            return self.last(torch.relu(self.second(self.first(x)) + self.short(x)))

    layers = [of_activations(), norm(3, 16, 3), nn.ReLU(), of_activations()]
    inputs = 16
    for outputs in (16, 32, 64):
        for block in range(3):
            layers.append(Block(inputs, outputs, 2 if outputs > 16 and block == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), of_activations(), Linear(64, 10), of_activations())


def torch_side(options, x, y):
    """Run by build/venv-torch/bin/python; prints one JSON object."""
    import torch
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    net = torch_network(not options.float).to(memory_format=torch.channels_last)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, nesterov=True)
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def epoch():
        start = time.perf_counter()
        order = torch.randperm(len(x))
        for at in range(0, len(x), BATCH):
            chosen = order[at:at + BATCH]
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x[chosen].contiguous(memory_format=torch.channels_last)), y[chosen])
            loss.backward()
            optimizer.step()
        return len(x) / (time.perf_counter() - start)

    epoch()
    print(json.dumps({"rate": epoch(), "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def octet_side(options, build, work):
    more = [] if options.float else ["--qat"]
    done = subprocess.run([build / "octet", "train", work / "net.onnx", "--data", work / "x.npy", "--labels", work / "y.npy",
                           "-o", work / "out.onnx", "--epochs", "2", "--batch", str(BATCH), "--lr", "0.001",
                           "--threads", str(options.threads), "--json", "--quiet", *more], check=True, capture_output=True, text=True)
    summary = json.loads(done.stdout)
    return {"rate": summary["epochs"][-1]["images_per_second"], "peak": summary["peak_rss_bytes"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--float", action="store_true")
    parser.add_argument("--torch", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch is not None:
        return torch_side(options, np.load(options.torch / "x.npy"), np.load(options.torch / "y.npy"))
    if not TORCH.exists():
        sys.exit(f"training.py: {TORCH} is missing; the head of this script says how to make it")
    rng = np.random.default_rng(0)
    octet, torch = [], []
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        np.save(work / "x.npy", rng.standard_normal((options.images, 3, 32, 32), np.float32))
        np.save(work / "y.npy", rng.integers(0, 10, options.images))
        subprocess.run([options.build / "examples/networks", "resnet20", work / "net.onnx"], check=True, capture_output=True)
        for _ in range(options.turns):
            octet.append(octet_side(options, options.build, work))
            done = subprocess.run([TORCH, __file__, *sys.argv[1:], "--torch", folder], check=True, capture_output=True, text=True)
            torch.append(json.loads(done.stdout.strip().splitlines()[-1]))
    kind = "float" if options.float else "quantization-aware, W8A8"
    print(f"ResNet-20, {kind}, batch {BATCH}, {options.threads} threads, medians of {options.turns} turns")
    print(f"{'':<12}{'octet':>10}{'PyTorch':>10}{'ratio':>8}")
    for name, key, unit in ("images/s", "rate", 1), ("peak MB", "peak", 1e6):
        a, b = (statistics.median(s[key] for s in side) / unit for side in (octet, torch))
        print(f"{name:<12}{a:>10.0f}{b:>10.0f}{a / b:>8.2f}")


if __name__ == "__main__":
    main()
