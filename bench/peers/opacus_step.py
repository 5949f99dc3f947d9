"""Times a training step of PyTorch: plain, or clipped example by example and noised by Opacus.

    python opacus_step.py mlp ghost

The first argument is a task (mlp, cnn3, cnn), the second what a step does: plain, hooks (per-example gradients stored) and ghost
(ghost clipping) with SGD, adamw plain with AdamW. Prints one line of JSON.
"""

import json
import os
import sys
import time
import warnings

# Waiting actively would count as CPU time.
os.environ["OMP_WAIT_POLICY"] = "passive"
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from opacus import GradSampleModule
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.set_num_interop_threads(1)

WARM_UP, FEWEST, MOST, ENOUGH_SECONDS = 3, 5, 200, 1.0
CLASSES = 10
RATE = 0.05


def mlp():
    layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES)]
    return nn.Sequential(*layers), (784,), 256


def cnn3():
    return convolutional([32, 64, 128], depth=2), (3, 32, 32), 64


def cnn():
    return convolutional([32, 64], depth=1), (3, 32, 32), 64


def convolutional(channels, depth):
    """Blocks of `depth` 3 x 3 convolutions with rectifiers, each followed by max-pooling, then a dense layer."""
    layers, inputs, side = [], 3, 32
    for outputs in channels:
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
        side //= 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * side * side, CLASSES))


def prepare(mode, network, batch):
    """The network, loss and optimiser of a mode."""
    private = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "expected_batch_size": batch}
    if mode == "plain":
        return network, nn.CrossEntropyLoss(), torch.optim.SGD(network.parameters(), RATE)
    if mode == "adamw":
        return network, nn.CrossEntropyLoss(), torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.01)
    if mode == "hooks":
        network = GradSampleModule(network)
        return network, nn.CrossEntropyLoss(), DPOptimizer(torch.optim.SGD(network.parameters(), RATE), **private)
    if mode == "ghost":
        network = GradSampleModuleFastGradientClipping(network, max_grad_norm=1.0, use_ghost_clipping=True)
        optimiser = DPOptimizerFastGradientClipping(torch.optim.SGD(network.parameters(), RATE), **private)
        return network, DPLossFastGradientClipping(network, optimiser, nn.CrossEntropyLoss()), optimiser
    raise SystemExit(f"a step is plain, adamw, hooks or ghost, not {mode!r}")


def peak_mib():
    """The most memory that this process has held. (ru_maxrss would count the memory of the process that started it.)"""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def time_steps(step):
    """CPU milliseconds of the whole process for each step: for a second of CPU time, at least 5 and at most 200 steps."""
    for _ in range(WARM_UP):
        step()
    times, began = [], time.process_time()
    while len(times) < MOST and (len(times) < FEWEST or time.process_time() - began < ENOUGH_SECONDS):
        start = time.process_time()
        step()
        times.append((time.process_time() - start) * 1e3)
    return times


def main(task, mode):
    start_mib = peak_mib()
    torch.manual_seed(1)
    network, shape, batch = {"mlp": mlp, "cnn3": cnn3, "cnn": cnn}[task]()
    inputs, labels = torch.rand(batch, *shape), torch.randint(CLASSES, (batch,))
    network, criterion, optimiser = prepare(mode, network, batch)

    def step():
        optimiser.zero_grad(set_to_none=True)
        criterion(network(inputs), labels).backward()
        optimiser.step()

    times = time_steps(step)
    line = {"kind": "step", "engine": "pytorch", "task": task, "mode": mode, "cpu_ms": times}
    print(json.dumps(line | {"peak_mib": peak_mib(), "start_mib": start_mib}))


if __name__ == "__main__":
    main(*sys.argv[1:])
