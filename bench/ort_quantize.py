#!/usr/bin/env python3
"""ONNX Runtime's static quantization of one model, as a process to be timed.

    ort_quantize.py MODEL OUT --data FOLDER --recipe FILE [--samples 200] [--observer MinMax|Entropy|Percentile]
"""

import argparse

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--observer", default="MinMax")
    options = parser.parse_args()
    x, _ = common.load(options.data, options.recipe, options.samples)
    common.ort_quantize(options.model, options.output, x, options.observer)


if __name__ == "__main__":
    main()
