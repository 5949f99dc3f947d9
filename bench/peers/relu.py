"""Full-batch descent of a deep ReLU network in PyTorch: the peer of `thalweg-dynamics`' module `relu`.

    python relu.py golden              checks itself on the golden runs, prints nothing when right
    python relu.py time 1024 4 1000 3  CPU and wall milliseconds a step at that width, depth and number of examples, one JSON line

f64, all hidden layers trained on the mean logistic loss, output weights fixed. Forward and backward are written by hand into buffers
made once, which is faster than PyTorch's autograd here: no graph, no allocation.
"""

import json
import math
import os
import pathlib
import resource
import sys
import time

import torch

from deq import load, split_mix

THREADS = int(os.environ.get("RAYON_NUM_THREADS", "1"))
torch.set_num_threads(THREADS)
torch.set_default_dtype(torch.float64)


class Net:
    """h^l = sqrt(2/m) relu(W^l h^(l-1)), f = a^T h^L, on the columns of `points`."""

    def __init__(self, weights, points, labels):
        width, n = weights[0].shape[0], points.shape[1]
        self.weights, self.points, self.labels = weights, points, labels
        self.scale = math.sqrt(2 / width)
        half = torch.tensor([1.0, -1.0]).repeat((width // 2 + 1) // 2)[: width // 2]
        self.signs = torch.cat([half, -half])
        self.hidden = [torch.empty(width, n) for _ in weights]
        self.back = [torch.empty(width, n) for _ in weights]
        self.gradients = [torch.empty_like(w) for w in weights]

    def forward(self):
        below = self.points
        for weight, hidden in zip(self.weights, self.hidden):
            torch.mm(weight, below, out=hidden)
            hidden.clamp_(min=0).mul_(self.scale)
            below = hidden
        return self.signs @ below

    def step(self, rate):
        """Makes one step and returns the loss at its start."""
        margins = self.labels * self.forward()
        loss = torch.nn.functional.softplus(-margins).mean()
        pull = -self.labels * torch.sigmoid(-margins) / len(margins)
        for layer in reversed(range(len(self.weights))):
            back = self.back[layer]
            if layer == len(self.weights) - 1:
                torch.outer(self.signs, pull, out=back)
            else:
                torch.mm(self.weights[layer + 1].T, self.back[layer + 1], out=back)
            back.mul_(self.hidden[layer] > 0).mul_(self.scale)
            below = self.points if layer == 0 else self.hidden[layer - 1]
            torch.mm(back, below.T, out=self.gradients[layer])
        for weight, gradient in zip(self.weights, self.gradients):
            weight.add_(gradient, alpha=-rate)
        return loss.item()


def xor(d):
    """All 2-XOR points (d x 2^d) and labels, in the order of the vector files."""
    s = 1 / math.sqrt(d - 1)
    columns, labels = [], []
    for first, label in [((s, 0), 1), ((0, s), -1), ((-s, 0), 1), ((0, -s), -1)]:
        for rest in range(2 ** (d - 2)):
            columns.append([*first, *(s if rest >> (d - 3 - bit) & 1 else -s for bit in range(d - 2))])
            labels.append(float(label))
    return torch.tensor(columns).T.contiguous(), torch.tensor(labels)


def symmetric(width, depth, inputs, normals):
    weights = []
    for layer in range(depth):
        columns = inputs if layer == 0 else width
        rows = width // 2 if layer == depth - 1 else width
        drawn = torch.as_tensor(normals(rows * columns)).reshape(rows, columns)
        weights.append(torch.cat([drawn, drawn]) if layer == depth - 1 else drawn.clone())
    return weights


def golden():
    """The losses of the golden runs at every recorded step."""
    for case in load("relu_train")["cases"]:
        points, labels = xor(case["d"])
        index = torch.tensor(case["idx"])
        normals = split_mix(case["seed"])
        net = Net(symmetric(case["m"], case["L"], case["d"], normals), points[:, index].contiguous(), labels[index])
        losses = [net.step(case["eta"]) for _ in range(case["T"] + 1)]
        for record in case["log"]:
            assert abs(losses[record["k"]] - record["loss"]) < 1e-8, (record, losses[record["k"]])


def main(task, width="1024", depth="4", n="1000", steps="3"):
    golden()
    if task == "golden":
        return
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    width, depth, n = int(width), int(depth), int(n)
    generator = torch.Generator().manual_seed(0)
    points, labels = xor(10)
    chosen = torch.randperm(len(labels), generator=generator)[:n]
    normals = lambda count: torch.randn(count, generator=generator)
    net = Net(symmetric(width, depth, 10, normals), points[:, chosen].contiguous(), labels[chosen])
    net.step(0.1)
    cpu_ms, wall_ms, loss = [], [], 0.0
    for _ in range(int(steps)):
        cpu, wall = time.process_time(), time.perf_counter()
        loss = net.step(0.1)
        cpu_ms.append(1e3 * (time.process_time() - cpu))
        wall_ms.append(1e3 * (time.perf_counter() - wall))
    cost = {"kind": "step", "engine": "pytorch", "task": "relu", "mode": "alone" if THREADS == 1 else f"{THREADS}-threads"}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(cost | {"cpu_ms": cpu_ms, "wall_ms": wall_ms, "peak_mib": peak, "start_mib": begin, "value": loss}))


if __name__ == "__main__":
    main(*sys.argv[1:])
