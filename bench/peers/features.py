"""Private learning from a feature perspective in plain NumPy: the peer of `thalweg-dynamics`' module `features`.

    python features.py golden          checks itself on the deterministic instance, prints nothing when right
    python features.py time 84         CPU milliseconds of configuration I's 84 runs; of fewer, extrapolated; one JSON line
    python features.py table           the whole table of configuration I, one JSON line a cell

The model: examples of two patches, `y mu` and `xi ~ N(0, I)` orthogonal to mu; two sets of m filters under `max(0, z)^3`, second
layer fixed at +1/m and -1/m; T steps of full-batch gradient descent, every example's gradient clipped, Gaussian noise added.
"""

import json
import resource
import sys
import time

import numpy as np

M, Q, INIT, RATE, STEPS, CLIP, TESTS = 10, 3, 0.01, 0.2, 100, 1.0, 1000
SNRS = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8]
# Noise multipliers of 100 full-batch Gaussian steps at delta 1e-5 (analytic Gaussian mechanism).
BUDGETS = {"inf": 0.0, "16": 3.4417742850, "8": 6.0022907220, "4": 10.8116184952, "2": 19.9381244564, "1": 37.3063163482}


def forward(weights, mu, labels, noise):
    """Activations of both patches (2, m, n) and the margins y f (n)."""
    on_signal = (weights @ mu)[:, :, None] * labels
    on_noise = weights @ noise.T
    sums = (np.maximum(on_signal, 0) ** Q + np.maximum(on_noise, 0) ** Q).sum(1) / weights.shape[1]
    return on_signal, on_noise, labels * (sums[0] - sums[1])


def gradient(weights, mu, labels, noise, clip):
    """The mean clipped gradient (2, m, d), the per-example norms before clipping and the margins."""
    filters, examples = weights.shape[1], len(labels)
    on_signal, on_noise, margins = forward(weights, mu, labels, noise)
    slope = -np.exp(-np.logaddexp(0, margins))
    sign = np.array([1.0, -1.0])[:, None, None]
    a = slope * sign * Q * np.maximum(on_signal, 0) ** (Q - 1) / filters
    b = slope * labels * sign * Q * np.maximum(on_noise, 0) ** (Q - 1) / filters
    norms = np.sqrt((mu @ mu) * (a * a).sum((0, 1)) + (noise * noise).sum(1) * (b * b).sum((0, 1)))
    if clip is not None:
        scale = np.minimum(1, clip / np.maximum(norms, 1e-300))
        a, b = a * scale, b * scale
    return (a.sum(2)[:, :, None] * mu + b @ noise) / examples, norms, margins


def run(snr, noise_multiplier, seed, examples=500, dimension=2000):
    """Test and train accuracy, the largest signal and noise coefficients of one run."""
    data, start, privacy, test = (np.random.default_rng([seed, stream]) for stream in range(4))
    mu = np.zeros(dimension)
    mu[0] = snr * np.sqrt(dimension)
    labels = data.choice([-1.0, 1.0], examples)
    noise = data.standard_normal((examples, dimension))
    noise[:, 0] = 0
    initial = INIT * start.standard_normal((2, M, dimension))
    weights = initial.copy()
    for _ in range(STEPS):
        step, _, _ = gradient(weights, mu, labels, noise, CLIP)
        if noise_multiplier > 0:
            step += CLIP * noise_multiplier / examples * privacy.standard_normal(weights.shape)
        weights -= RATE * step
    signal, memorised = decompose(weights - initial, mu, noise)
    test_labels = test.choice([-1.0, 1.0], TESTS)
    test_noise = test.standard_normal((TESTS, dimension))
    test_noise[:, 0] = 0
    return {
        "test_accuracy": float((forward(weights, mu, test_labels, test_noise)[2] > 0).mean()),
        "train_accuracy": float((forward(weights, mu, labels, noise)[2] > 0).mean()),
        "signal": float(signal.max()),
        "noise": float(memorised.max()),
        "noise_multiplier": noise_multiplier,
    }


def decompose(change, mu, noise):
    """gamma (2, m) and rho (2, m, n): change = j gamma mu/|mu|^2 + sum_i rho_i xi_i/|xi_i|^2 + what is orthogonal to both."""
    signal = change @ mu * np.array([1.0, -1.0])[:, None]
    products = (change @ noise.T).reshape(-1, len(noise))
    coefficients = np.linalg.solve(noise @ noise.T, products.T).T * (noise * noise).sum(1)
    return signal, coefficients.reshape(*change.shape[:2], len(noise))


def golden():
    """The deterministic instance of six dimensions and four examples."""
    k = np.arange(6)
    noise = np.sin((6.0 * np.arange(4)[:, None] + k + 1) ** 2)
    noise[:, 0] = 0
    filters = 7.0 * np.arange(2)[:, None, None] + 3.0 * np.arange(2)[None, :, None]
    initial = 0.6 * np.cos((1 + filters + k) ** 2)
    mu, labels = np.array([0.9, 0, 0, 0, 0, 0]), np.array([1.0, -1.0, 1.0, -1.0])

    def near(found, expected):
        assert np.abs(np.asarray(found) - np.asarray(expected)).max() < 1e-9, (found, expected)

    step, norms, margins = gradient(initial, mu, labels, noise, None)
    near(labels * margins, [0.0141181525, 0.4600927562, 0.2100288580, 0.0785632593])
    near(np.logaddexp(0, -margins).mean(), 0.740593473862)
    near(norms, [0.0849265948, 1.3600969836, 0.6167574517, 0.2705988131])
    near(step[0, 0], [-0.0271255439, 0.0780442109, -0.0189288821, 0.0010207913, 0.2137070162, -0.0667350971])
    near(step[1, 1], [0.0002639807, -0.0082814208, 0.0010059989, 0.0083178737, -0.0344409726, 0.0227536893])
    weights = initial.copy()
    for _ in range(20):
        weights -= 0.5 * gradient(weights, mu, labels, noise, None)[0]
    near(np.logaddexp(0, -forward(weights, mu, labels, noise)[2]).mean(), 0.161405440469)
    signal, memorised = decompose(weights - initial, mu, noise)
    near(signal, [[0.4500269955, 0.2468480713], [0.0677561281, 0.0012048990]])
    near(memorised[0, 0], [0.2741241091, -1.3303846901, 2.4525872296, -0.0771199308])
    near(memorised[1, 1], [-0.2226860806, 0.6064782663, 0, 1.9602860359])
    clipped = gradient(initial, mu, labels, noise, 0.1)[0]
    near(clipped[0, 0], [-0.0163489931, -0.0002901376, 0.0083191071, 0.0120216217, 0.0235191129, 0.0016879576])
    weights = initial - 0.5 * clipped
    near(np.logaddexp(0, -forward(weights, mu, labels, noise)[2]).mean(), 0.736346294962)


def main(task, *count):
    golden()
    if task == "table":
        for name, multiplier in BUDGETS.items():
            for snr in SNRS:
                for seed in (0, 1):
                    print(json.dumps({"snr": snr, "epsilon": name, "seed": seed} | run(snr, multiplier, seed)), flush=True)
    if task == "time":
        cells = [(snr, multiplier, seed) for seed in (0, 1) for multiplier in BUDGETS.values() for snr in SNRS]
        cells = cells[:: len(cells) // int(count[0])][: int(count[0])]
        begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began, cpu = time.perf_counter(), time.process_time()
        accuracy = sum(run(*cell)["test_accuracy"] for cell in cells) / len(cells)
        scale = 1e3 * 84 / len(cells)
        cost = {"kind": "step", "engine": "numpy", "task": "features", "mode": "alone", "value": accuracy, "start_mib": begin}
        cost |= {"cpu_ms": [scale * (time.process_time() - cpu)], "wall_ms": [scale * (time.perf_counter() - began)]}
        print(json.dumps(cost | {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))



if __name__ == "__main__":
    main(*sys.argv[1:])
