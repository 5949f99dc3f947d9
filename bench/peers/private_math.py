"""Times the mathematics of private training in the peers.

    python private_math.py account | account-4 | optimise | noise

account: epsilon of 10,000 Poisson-sampled steps with noise multiplier 1 (account-4: with 4) by dp-accounting's privacy-loss
distribution. optimise: a banded Toeplitz strategy
for 2,000 steps by jax-privacy. noise: a step of correlated noise for 10 million parameters and 64 bands by jax-privacy, on as many
threads as OMP_NUM_THREADS says. Prints one line of JSON; `value` is what both sides must agree on.
"""

import json
import os
import sys
import time

# Waiting actively would count as CPU time.
os.environ["OMP_WAIT_POLICY"] = "passive"
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
eigen = "true" if THREADS > 1 else "false"
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={THREADS}"

import numpy as np

STEPS, BANDS = 2_000, 64
PARAMETERS, NOISE_STEPS = 10_000_000, 8


def account(noise_multiplier):
    from dp_accounting import dp_event
    from dp_accounting.pld import pld_privacy_accountant as pld

    def epsilon():
        accountant = pld.PLDAccountant(value_discretization_interval=1e-4)
        step = dp_event.PoissonSampledDpEvent(0.01, dp_event.GaussianDpEvent(noise_multiplier))
        accountant.compose(dp_event.SelfComposedDpEvent(step, 10_000))
        return accountant.get_epsilon(1e-5)

    return "dp-accounting", *timed(epsilon, 3)


def optimise():
    from jax_privacy.matrix_factorization import toeplitz

    def error():
        coefficients = np.asarray(toeplitz.optimize_banded_toeplitz(STEPS, BANDS), dtype=np.float64)
        return mean_error(coefficients)

    # The first call compiles, as every user's first call does; the best of two is told.
    return "jax-privacy", *timed(error, 2)


def mean_error(c):
    """The root mean squared error of prefix sums, in double precision."""
    inverse = np.zeros(STEPS)
    for t in range(STEPS):
        past = c[1 : min(t, BANDS - 1) + 1] @ inverse[t - 1 :: -1][: min(t, BANDS - 1)] if t else 0.0
        inverse[t] = ((t == 0) - past) / c[0]
    rows = np.cumsum(np.cumsum(inverse) ** 2)
    return float(np.sqrt(np.mean(rows) * np.sum(c**2)))


def noise():
    import jax
    from jax_privacy.matrix_factorization import toeplitz

    coefficients = np.cumprod(np.concatenate([[1.0], (np.arange(1, BANDS) - 0.5) / np.arange(1, BANDS)])).astype(np.float32)
    matrix = toeplitz.inverse_as_streaming_matrix(coefficients)

    @jax.jit
    def step(key, state):
        key, draw = jax.random.split(key)
        value, state = matrix.multiply_next(jax.random.normal(draw, (PARAMETERS,)), state)
        return key, value, state

    key, state = jax.random.key(0), matrix.init_multiply(jax.numpy.zeros(PARAMETERS))
    def one():
        nonlocal key, state
        key, value, state = step(key, state)
        jax.block_until_ready(value)

    one(), one()
    return "jax-privacy", *timed(one, NOISE_STEPS)


def timed(function, repetitions):
    """CPU and wall milliseconds of each call, and what the last gave."""
    cpu_ms, wall_ms = [], []
    for _ in range(repetitions):
        cpu, wall = time.process_time(), time.perf_counter()
        value = function()
        cpu_ms.append(1e3 * (time.process_time() - cpu))
        wall_ms.append(1e3 * (time.perf_counter() - wall))
    return {"cpu_ms": cpu_ms, "wall_ms": wall_ms}, value


def peak_mib():
    """The most memory that this process has held. (ru_maxrss would count the memory of the process that started it.)"""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


task = sys.argv[1]
start_mib = peak_mib()
tasks = {"account": lambda: account(1.0), "account-4": lambda: account(4.0), "optimise": optimise, "noise": noise}
engine, times, value = tasks[task]()
mode = "alone" if THREADS == 1 else f"{THREADS}-threads"
line = {"kind": "step", "engine": engine, "task": task, "mode": mode, "start_mib": start_mib}
print(json.dumps(line | times | {"peak_mib": peak_mib(), "value": value}))
