"""The golden descents of equilibrium models in plain NumPy: the peer of `thalweg-dynamics`' module `deq`.

    python deq.py golden             checks itself on the golden values, prints nothing when right
    python deq.py time               CPU milliseconds of all studies, one JSON line

The studies are the descents of the vector files: the published linear run and four ways back from (sqrt 8, 0), next to the degenerate
point, a sigmoid unit on 1,000 inputs for 40,000 steps, and a tanh unit of 4 inputs with 256 examples under three ways back.
"""

import json
import pathlib
import resource
import sys
import time

import numpy as np

VECTORS = pathlib.Path(__file__).parents[2] / "crates/dynamics/tests/vectors"
FACTORS = {
    "exact": lambda a: 1 / (1 - a),
    "jfb": lambda a: np.ones_like(a),
    "neumann2": lambda a: 1 + a,
    "neumann3": lambda a: 1 + a + a * a,
    "damped2": lambda a: 0.5 * (1.5 + 0.5 * a),
}


def linear(theta, eta, steps, target, moment, backward="exact"):
    """Final (u, v), risk, and the squared radius as predicted by the sum of squared steps."""
    u, v = theta
    radius = u * u + (1 - v) ** 2
    factor = FACTORS[backward]
    for _ in range(steps):
        beta = u / (1 - v)
        common = 2 * moment * (beta - target) * float(factor(np.float64(v)))
        u, v = u - eta * common, v - eta * common * beta
        radius += (eta * common) ** 2 * (1 + beta * beta)
    return np.array([u, v]), moment * (u / (1 - v) - target) ** 2, radius


def sigmoid(z):
    s = 1 / (1 + np.exp(-z))
    return s, s * (1 - s)


def tanh(z):
    t = np.tanh(z)
    return t, 1 - t * t


def single_index(activation, inputs, target, theta, eta, steps, backward, record):
    """The parameters at the steps to record; Newton's method from the last step's solution finds the fixed points."""
    theta, states, records = np.array(theta), target.copy(), {}
    factor = FACTORS[backward]
    for step in range(steps + 1):
        drive, v = inputs @ theta[:-1], theta[-1]
        while True:
            value, slope = activation(drive + v * states)
            move = (states - value) / (1 - v * slope)
            states = states - move
            if np.max(np.abs(move)) <= 1e-14 * (1 + np.max(np.abs(states))):
                break
        _, slope = activation(drive + v * states)
        if step in record:
            records[step] = theta.copy()
        weight = 2 * (states - target) * slope * factor(v * slope) / len(target)
        theta = theta - eta * np.append(weight @ inputs, weight @ states)
    return records


def split_mix(seed):
    """Normal numbers of SplitMix64 by Box and Muller's cosine."""
    mask = (1 << 64) - 1

    def uniform():
        nonlocal seed
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53

    def normal():
        first = 1 - uniform()
        return np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * uniform())

    return lambda count: np.array([normal() for _ in range(count)])


def tanh_data(case):
    normals = split_mix(case["seed"])
    xi, away = normals(case["d"]), normals(case["d"])
    return normals(case["n"] * case["d"]).reshape(case["n"], case["d"]), xi / np.linalg.norm(xi)


def load(name):
    return json.load(open(VECTORS / f"{name}.json"))


def studies():
    """Each study as a function that checks its end, and the golden values in it."""
    found = []
    for case in load("deq_gd")["cases"]:

        def descent(case=case):
            theta, risk, radius = linear(case["theta0"], case["eta"], case["steps"], case["xi"], case["m2"], case["backward"])
            assert np.abs(theta - case["final"]).max() < 1e-12 and abs(risk - case["final_risk"]) < 1e-12
            assert abs(radius - case["r2_final"]) < 1e-12 * radius

        found.append(descent)
    for case in load("deq_stress")["cases"]:

        def stress(case=case):
            theta, risk, radius = linear(case["theta0"], case["eta"], case["steps"], case["xi"], case["m2"])
            assert (risk < 1e-20) == case["converged"]
            assert case["max_step_length"] >= 1 or abs(radius - case["r2_final"]) < 1e-9

        found.append(stress)

    def sigmoid_run():
        file = load("deq_sigmoid")
        inputs = np.array(file["x"])[:, None]
        record = {r["step"]: np.array(r["theta"]) for r in file["record"]}
        target = sigmoid(2 * inputs[:, 0])[0]
        run = single_index(sigmoid, inputs, target, file["theta0"], file["eta"], max(record), file["backward"], record)
        assert all(np.abs(run[step] - record[step]).max() < file["tol_theta"] for step in record)

    found.append(sigmoid_run)
    for case in load("deq_tanh")["cases"]:
        for backward, records in case["runs"].items():

            def tanh_run(case=case, backward=backward, records=records, data=tanh_data(case)):
                inputs, xi = data
                record = {r["step"]: np.array(r["theta"]) for r in records}
                run = single_index(tanh, inputs, tanh(inputs @ xi)[0], case["theta0"], case["eta"], max(record), backward, record)
                assert all(np.abs(run[step] - record[step]).max() < 1e-9 for step in record)

            found.append(tanh_run)
    return found


def main(task):
    if task == "golden":
        for study in studies():
            study()
        return
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # Every study ends with its golden values, so the timed pass is the proof as well.
    prepared = studies()
    cpu, wall = time.process_time(), time.perf_counter()
    for study in prepared:
        study()
    cost = {"kind": "step", "engine": "numpy", "task": "deq", "mode": "alone", "value": float(len(prepared))}
    cost |= {"cpu_ms": [1e3 * (time.process_time() - cpu)], "wall_ms": [1e3 * (time.perf_counter() - wall)]}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(cost | {"peak_mib": peak, "start_mib": begin}))


if __name__ == "__main__":
    main(*sys.argv[1:])
