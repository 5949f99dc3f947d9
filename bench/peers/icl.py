"""Stochastic descent of a linear transformer in JAX and in plain NumPy: the peers of `thalweg-dynamics`' module `icl`.

    python icl.py golden             checks gradient, draws and trajectories of both, prints nothing when right
    python icl.py time jax           CPU and wall milliseconds of the reference ensemble, after compilation, one JSON line
    python icl.py time numpy 600     the same in NumPy; only so many of the 6,000 steps are made, the rest is extrapolated

The model has all its trained blocks p1, p2, q1, q2 (4 x 4). A step sums the gradients of 8 tasks over the mean of 8 contexts of 32
examples each; 8 runs go side by side. Contexts are drawn through their sample covariance, by Bartlett's decomposition, as on the other
side; here a chi-squared number is a sum of logarithms of uniform ones, which compiles to straight code, and tasks multiply by their
eigenvalues alone. The last axis is the context, so that all loops are long and contiguous.
"""

import json
import os
import pathlib
import resource
import sys
import time

THREADS = int(os.environ.get("RAYON_NUM_THREADS", "1"))
os.environ["XLA_FLAGS"] = " ".join(
    [os.environ.get("XLA_FLAGS", ""), f"--xla_cpu_multi_thread_eigen={'true' if THREADS > 1 else 'false'}"]
)

import numpy as np

VECTORS = pathlib.Path(__file__).parents[2] / "crates/dynamics/tests/vectors"
S = np.array([2.0, 1.0, 0.5, 0.25])
D, N, RUNS, PER_TASK, STEPS, RECORD, CLOCK, START = 4, 32, 8, 8, 6000, 100, 0.02, 1e-3
# Sylvester's Hadamard matrix: 8 tasks, columns 1 to 4.
TASKS = np.array([[1.0 - 2.0 * (bin(row & column).count("1") % 2) for column in range(1, D + 1)] for row in range(8)])
CONTEXTS = len(TASKS) * PER_TASK
RATE = CLOCK / len(TASKS)
# The task of each context: (d, contexts).
LAMBDA = np.repeat(TASKS, PER_TASK, axis=0).T


def gradient(xp, blocks, covariance, query, task):
    """Gradients of p1, p2, q1, q2 (runs, d, d each), averaged over a task's contexts and summed over tasks.

    `blocks` holds four (runs, d, d); covariance is (runs, d, d, contexts), query (runs, d, contexts), task (d, contexts).
    """
    p1, p2, q1, q2 = blocks
    times = lambda a, x: sum(a[:, :, j, None] * x[:, j, None] for j in range(D))
    back = lambda a, x: sum(a[:, i, :, None] * x[:, i, None] for i in range(D))
    mixing = lambda x: sum(covariance[:, :, j] * x[:, j, None] for j in range(D))
    outer = lambda a, b: xp.sum(a[:, :, None] * b[:, None], axis=-1) / PER_TASK
    own = lambda y: xp.sum(query * y, axis=1, keepdims=True) / N * query
    keys = times(q1, query)
    seen = mixing(keys + task * times(q2, query))
    zx, zy = seen + own(keys), task * seen
    error = times(p1, zx) + times(p2, zy) - task * query
    by_x = back(p1, error)
    left = mixing(by_x + task * back(p2, error))
    return outer(error, zx), outer(error, zy), outer(left + own(by_x), query), outer(task * left, query)


def from_bartlett(xp, diagonal, below, normals):
    """Sample covariances and queries from chi-squared and normal numbers."""
    root = np.sqrt(S)
    at = iter(range(D * (D - 1) // 2))
    rows = [[root[i] * (below[:, next(at)] if j < i else xp.sqrt(diagonal[:, i])) for j in range(i + 1)] for i in range(D)]
    entry = lambda i, j: sum(rows[i][k] * rows[j][k] for k in range(min(i, j) + 1)) / N
    covariance = xp.stack([xp.stack([entry(i, j) for j in range(D)], 1) for i in range(D)], 1)
    return covariance, root[:, None] * normals


def start(xp):
    eye = np.sqrt(START) * np.eye(D)
    zero = np.zeros((D, D))
    return tuple(xp.asarray(np.broadcast_to(block, (RUNS, D, D)).copy()) for block in (zero, eye, eye, zero))


def numpy_run(steps, seed=0):
    rng = np.random.default_rng(seed)
    blocks, records = start(np), []
    degrees = N - np.arange(D)[:, None]
    for step in range(steps + 1):
        if step % RECORD == 0:
            records.append(np.einsum("rii,rii->ri", blocks[1], blocks[2]))
        diagonal = rng.chisquare(degrees, (RUNS, D, CONTEXTS))
        below = rng.standard_normal((RUNS, D * (D - 1) // 2, CONTEXTS))
        covariance, query = from_bartlett(np, diagonal, below, rng.standard_normal((RUNS, D, CONTEXTS)))
        found = gradient(np, blocks, covariance, query, LAMBDA)
        blocks = tuple(block - RATE * change for block, change in zip(blocks, found))
    return np.array(records)


def jax_run(prng="threefry2x32"):
    """The compiled ensemble: a function of a seed."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_default_prng_impl", prng)
    halves = [(N - i) // 2 for i in range(D)]
    odd = [i for i in range(D) if (N - i) % 2]
    pairs = D * (D - 1) // 2 + D + len(odd)
    pairs += pairs % 2

    def draw(key):
        """All random numbers of a step out of one array of uniform ones."""
        uniform = 1.0 - jax.random.uniform(key, (RUNS, sum(halves) + pairs, CONTEXTS), dtype=jnp.float64)
        radius = jnp.sqrt(-2 * jnp.log(uniform[:, : pairs // 2]))
        angle = 2 * np.pi * uniform[:, pairs // 2 : pairs]
        normals = jnp.concatenate([radius * jnp.cos(angle), radius * jnp.sin(angle)], 1)
        at, diagonal = pairs, []
        for i, half in enumerate(halves):
            product = uniform[:, at]
            for k in range(1, half):
                product = product * uniform[:, at + k]
            at += half
            square = -2 * jnp.log(product)
            diagonal.append(square + normals[:, pairs - 1 - odd.index(i)] ** 2 if i in odd else square)
        below = D * (D - 1) // 2
        return from_bartlett(jnp, jnp.stack(diagonal, 1), normals[:, :below], normals[:, below : below + D])

    def step(blocks, key):
        covariance, query = draw(key)
        found = gradient(jnp, blocks, covariance, query, LAMBDA)
        return tuple(block - RATE * change for block, change in zip(blocks, found)), None

    def record(blocks, keys):
        products = jnp.einsum("rii,rii->ri", blocks[1], blocks[2])
        return jax.lax.scan(step, blocks, keys)[0], products

    @jax.jit
    def run(key):
        keys = jax.random.split(key, STEPS).reshape(STEPS // RECORD, RECORD, *key.shape)
        blocks, records = jax.lax.scan(record, start(jnp), keys)
        return jnp.concatenate([records, jnp.einsum("rii,rii->ri", blocks[1], blocks[2])[None]])

    return lambda seed: np.asarray(run(jax.random.PRNGKey(seed)))


def rms_to_exact(records):
    """The distance of the mean over runs from the exact flow, whose reference times are those of the records or finer."""
    case = next(c for c in json.load(open(VECTORS / "icl_aligned.json"))["cases"] if c["N"] == N and c["a0"] == START)
    theory = np.array(case["p_exact"]) * np.array(case["q_exact"])
    times = CLOCK * RECORD * np.arange(len(records))
    at = [int(np.argmin(np.abs(np.array(case["t"]) - t))) for t in times]
    assert np.abs(np.array(case["t"])[at] - times).max() < 1e-9
    return float(np.sqrt(np.mean((records.mean(1) - theory[at]) ** 2)))


def golden():
    """The gradient against central differences of the definition, and the draws against Wishart's identity."""
    rng = np.random.default_rng(1)
    inputs, query, values = rng.standard_normal((D, 5)), rng.standard_normal(D), 0.5 * rng.standard_normal((4, D, D))
    global N, PER_TASK
    length, per_task, N, PER_TASK = N, PER_TASK, 5, 1
    task = np.diag(TASKS[3])

    def loss(values):
        p1, p2, q1, q2 = values
        tokens = np.block([[inputs, query[:, None]], [task @ inputs, np.zeros((D, 1))]])
        mixed = tokens @ tokens.T / N @ np.vstack([q1, q2]) @ query
        return 0.5 * np.sum((np.hstack([p1, p2]) @ mixed - task @ query) ** 2)

    found = gradient(
        np, [v[None] for v in values], (inputs @ inputs.T / N)[None, :, :, None], query[None, :, None], TASKS[3][:, None]
    )
    for at in np.ndindex(4, D, D):
        moved = np.zeros_like(values)
        moved[at] = 1e-5
        difference = (loss(values + moved) - loss(values - moved)) / 2e-5
        assert abs(found[at[0]][(0, *at[1:])] - difference) < 1e-6 * max(1, abs(difference)), at
    N, PER_TASK = length, per_task


def proven(records):
    """The mean over 8 runs is within .01 of the exact flow: the published bound of the reference ensemble."""
    rms = rms_to_exact(records)
    assert rms < 0.01, rms
    return rms


def main(task, engine="jax", steps=STEPS):
    golden()
    steps = int(steps)
    if task == "golden":
        proven(jax_run()(0))
        proven(numpy_run(STEPS))
        return
    run = jax_run() if engine == "jax" else lambda seed: numpy_run(steps, seed)
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    value = rms_to_exact(run(0)) if steps < STEPS else proven(run(0))
    cpu_ms, wall_ms = [], []
    for seed in range(1, 4 if engine == "jax" else 2):
        cpu, wall = time.process_time(), time.perf_counter()
        run(seed)
        scale = 1e3 * STEPS / steps
        cpu_ms.append(scale * (time.process_time() - cpu))
        wall_ms.append(scale * (time.perf_counter() - wall))
    cost = {"kind": "step", "engine": engine, "task": "icl", "mode": "alone" if THREADS == 1 else f"{THREADS}-threads"}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(cost | {"cpu_ms": cpu_ms, "wall_ms": wall_ms, "peak_mib": peak, "start_mib": begin, "value": value}))


if __name__ == "__main__":
    main(*sys.argv[1:])
