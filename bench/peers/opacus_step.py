"""Times a training step of PyTorch: plain, or clipped example by example and noised by Opacus.

    python opacus_step.py mlp ghost
    python opacus_step.py mlp check FILE

The first argument is a task (mlp, cnn3, cnn, resnet, transformer), the second what a step does: plain, hooks (per-example gradients
stored) and ghost (ghost clipping) with SGD, adamw plain with AdamW. Prints one line of JSON. With check, nothing is timed: the weights
in FILE, which `private_step TASK export FILE` wrote, are loaded, and the loss that it printed, on standard input, must come out.
"""

import json
import math
import os
import sys
import time
import warnings

# Waiting actively would count as CPU time.
os.environ["OMP_WAIT_POLICY"] = "passive"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
import torch.nn.functional as F
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


class Mlp(nn.Module):
    """Dense layers with rectifiers between them."""

    def __init__(self, *widths):
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:]))
        self.output = nn.Linear(widths[-1], CLASSES)

    def forward(self, x):
        for layer in self.hidden:
            x = F.relu(layer(x))
        return self.output(x)


class Cnn(nn.Module):
    """Blocks of `depth` 3 x 3 convolutions with rectifiers, each followed by max-pooling, then a dense layer."""

    def __init__(self, channels, depth):
        super().__init__()
        widths = [IMAGE[0], *channels]
        block = lambda i, o: nn.ModuleList(nn.Conv2d(i if at == 0 else o, o, 3, padding=1) for at in range(depth))
        self.block = nn.ModuleList(block(i, o) for i, o in zip(widths, channels))
        side = IMAGE[1] // 2 ** len(channels)
        self.output = nn.Linear(channels[-1] * side * side, CLASSES)

    def forward(self, x):
        for block in self.block:
            for layer in block:
                x = F.relu(layer(x))
            x = F.max_pool2d(x, 2)
        return self.output(x.flatten(1))


class Unit(nn.Module):
    """A convolution without bias and its normalisation in 8 groups."""

    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(8, outputs)

    def forward(self, x):
        return self.norm(self.convolution(x))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = Unit(inputs, outputs, 3, stride)
        self.second = Unit(outputs, outputs, 3, 1)
        self.shortcut = Unit(inputs, outputs, 1, stride) if stride != 1 or inputs != outputs else nn.Identity()

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


class ResNet(nn.Module):
    """A stem, stages of one residual block, the mean over all pixels, and a dense layer."""

    def __init__(self, widths):
        super().__init__()
        self.stem = Unit(IMAGE[0], widths[0], 3, 1)
        stage = lambda at: nn.ModuleList([Block(widths[max(at - 1, 0)], widths[at], 1 if at == 0 else 2)])
        self.stage = nn.ModuleList(stage(at) for at in range(len(widths)))
        self.output = nn.Linear(widths[-1], CLASSES)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for stage in self.stage:
            for block in stage:
                x = block(x)
        return self.output(x.mean((2, 3)))


class Attention(nn.Module):
    """Of dense layers, as Opacus's DPMultiheadAttention, whose batch_first=True (1.6.0) mixes positions where there are several heads."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        n, length, width = x.shape
        part = lambda layer: layer(x).view(n, length, self.heads, width // self.heads).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(part(self.query), part(self.key), part(self.value))
        return self.output(mixed.transpose(1, 2).reshape(n, length, width))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.dense_norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 4 * width)
        self.outer = nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.outer(F.gelu(self.inner(self.dense_norm(x))))


class Transformer(nn.Module):
    """Token and position embeddings, pre-norm layers, a last norm, the mean over the positions, and a dense layer."""

    def __init__(self, vocabulary, length, width, layers, heads):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(length, width)
        self.layer = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]).repeat(len(tokens), 1))
        for layer in self.layer:
            x = layer(x)
        return self.head(self.norm(x).mean(1))


IMAGE = (3, 32, 32)
VOCABULARY, LENGTH = 10_000, 128
# One layer there, three here.
PARTS = ["query", "key", "value"]

# Of each task: its network, and the examples of its batch.
TASKS = {
    "mlp": (lambda: Mlp(784, 512, 512), lambda: features(256, 784)),
    "cnn3": (lambda: Cnn([32, 64, 128], depth=2), lambda: features(64, *IMAGE)),
    "cnn": (lambda: Cnn([32, 64], depth=1), lambda: features(64, *IMAGE)),
    "resnet": (lambda: ResNet([16, 32, 64]), lambda: features(64, *IMAGE)),
    "transformer": (lambda: Transformer(VOCABULARY, LENGTH, 64, layers=2, heads=4), lambda: tokens(64, LENGTH)),
}


def scrambled(count):
    """Numbers of 24 bits without a pattern, the same on both sides."""
    x = np.arange(count, dtype=np.uint32)
    for _ in range(2):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x45D9F3B)
    return (x ^ (x >> np.uint32(16))) >> np.uint32(8)


def features(*shape):
    return torch.from_numpy((scrambled(math.prod(shape)) / np.float32(1 << 24)).astype(np.float32).reshape(shape))


def tokens(*shape):
    return torch.from_numpy((scrambled(math.prod(shape)) % VOCABULARY).astype(np.int64).reshape(shape))


def load(network, path):
    """Takes the weights of a safetensors file, whose names are those of the modules here but for the spelling."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        values = np.frombuffer(file.read(), dtype=np.float32)
    tensors = {}
    for name, about in header.items():
        if name != "__metadata__":
            start, end = (at // 4 for at in about["data_offsets"])
            tensors[name] = torch.from_numpy(values[start:end].reshape(about["shape"]).copy())
    ours, theirs = sum(t.numel() for t in tensors.values()), sum(p.numel() for p in network.parameters())
    assert ours == theirs, f"{ours} parameters there, {theirs} here"
    for name, module in network.named_modules():
        name, taken = name.replace("_", "-"), None
        if isinstance(module, nn.Linear) and (part := name.rsplit(".", 1)[-1]) in PARTS:
            whole, at = name.removesuffix(part) + "-".join(PARTS), PARTS.index(part)
            taken = tensors[whole + ".weight"].chunk(3, 1)[at].T, tensors[whole + ".bias"].chunk(3)[at]
        elif isinstance(module, nn.Linear):
            taken = tensors[name + ".weight"].T, tensors[name + ".bias"]
        elif isinstance(module, nn.Conv2d):
            taken = tensors[name + ".weight"], tensors.get(name + ".bias")
        elif isinstance(module, (nn.LayerNorm, nn.GroupNorm)):
            taken = tensors[name + ".gain"], tensors[name + ".offset"]
        elif isinstance(module, nn.Embedding):
            taken = tensors[name + ".table"], None
        if taken:
            module.weight.data.copy_(taken[0])
            if taken[1] is not None:
                module.bias.data.copy_(taken[1])
    return theirs


def check(task, path):
    """Both sides train the same network: as many parameters, and the same loss at the same weights."""
    network, examples = (make() for make in TASKS[task])
    parameters = load(network, path)
    expected = json.load(sys.stdin)["loss"]
    loss = nn.CrossEntropyLoss()(network(examples), torch.arange(len(examples)) % CLASSES).item()
    assert abs(loss - expected) < 1e-5 * expected, f"{task}: the loss is {loss}, and {expected} there"
    print(f"{task}: {parameters} parameters and the loss {loss:.6f} on both sides", file=sys.stderr)


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
    network, inputs = (make() for make in TASKS[task])
    labels = torch.arange(len(inputs)) % CLASSES
    network, criterion, optimiser = prepare(mode, network, len(inputs))

    def step():
        optimiser.zero_grad(set_to_none=True)
        criterion(network(inputs), labels).backward()
        optimiser.step()

    times = time_steps(step)
    line = {"kind": "step", "engine": "pytorch", "task": task, "mode": mode, "cpu_ms": times}
    print(json.dumps(line | {"peak_mib": peak_mib(), "start_mib": start_mib}))


if __name__ == "__main__":
    if sys.argv[2] == "check":
        check(sys.argv[1], sys.argv[3])
    else:
        main(*sys.argv[1:])
