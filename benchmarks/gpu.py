"""Check, train and time the core on a GPU with the JAX and PyTorch backends of Keras.

    python benchmarks/gpu.py --output benchmarks/gpu.md

Each backend runs in its own process. Neither TensorFlow nor `pipelines` is needed. `--small` also runs on a CPU.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
BACKENDS = ("jax", "torch")
PATCHES, CHANNELS, KEY_DIM, VALUE_DIM = 14, 256, 64, 256
DTYPES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
COLUMNS = ("backend", "measured", "dtype", "frames", "ms", "result", "peak MB")
NOTE = f"""One video with {PATCHES} patches per frame, {CHANNELS} channels, `key_dim={KEY_DIM}` and
`value_dim={VALUE_DIM}`. "1.6× cliques" means 1.6 times the time of `CliqueSelfAttention` on the same
backend. A GPU may compute float32 products in TF32: see the errors. The memory is the compiler's plan on JAX and the
allocator's peak on PyTorch."""


class Jax:
    """Run on JAX: every function is compiled; the memory is what the compiler plans."""

    def __init__(self):
        import jax

        self.jax, self.version = jax, f"JAX {jax.__version__}"
        device = jax.devices()[0]
        self.device = f"{device.device_kind}, {device.platform}"

    def prepare(self, function, *inputs):
        """Return a function without arguments that runs and waits for the result, and its peak memory in MB."""
        compiled = self.jax.jit(function).lower(*inputs).compile()
        memory = compiled.memory_analysis()
        peak = sum(getattr(memory, f"{part}_size_in_bytes", 0) for part in ("temp", "argument", "output"))
        return lambda: self.jax.block_until_ready(compiled(*inputs)), peak / 1e6

    def gradient(self, function):
        """Return the gradient of the sum of squares with respect to the first argument."""
        return self.jax.grad(lambda x: (function(x).astype("float32") ** 2).sum())


class Torch:
    """Run on PyTorch: functions are eager; the memory is the peak of the allocator."""

    def __init__(self):
        import torch

        self.torch, self.version = torch, f"PyTorch {torch.__version__}"
        self.cuda = torch.cuda.is_available()
        self.device = torch.cuda.get_device_name() if self.cuda else "cpu"

    def prepare(self, function, *inputs):
        """Return a function without arguments that runs and waits for the result, and its peak memory in MB."""

        def run():
            with self.torch.no_grad():
                result = function(*inputs)
            self.torch.cuda.synchronize() if self.cuda else None
            return result

        peak = 0.0
        if self.cuda:
            run()
            self.torch.cuda.reset_peak_memory_stats()
            run()
            peak = self.torch.cuda.max_memory_allocated() / 1e6
        return run, peak

    def gradient(self, function):
        """Return the gradient of the sum of squares with respect to the first argument."""

        def run(x):
            with self.torch.enable_grad():
                x = x.detach().requires_grad_()
                return self.torch.autograd.grad((function(x).float() ** 2).sum(), x)[0]

        return run


def median_ms(subjects, most, budget_sec=1.0):
    """Return the median time of each function; every round runs each of them once."""
    times, start = {name: [] for name in subjects}, time.perf_counter()
    for function in subjects.values():
        function(), function()
    for turn in range(most):
        if turn >= 3 and time.perf_counter() - start > budget_sec:
            break
        for name, function in subjects.items():
            begin = time.perf_counter()
            function()
            times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(found) for name, found in times.items()}


def make_rivals(layer, num_frames, dtype, backend):
    """Return the attention of Keras and of the framework, widest locality only, by name."""
    from keras import ops

    from benchmarks.rivals import band

    mask = ops.convert_to_tensor(band(num_frames, PATCHES, max(layer.temporal_localities)))[None, None]
    fill = [(0, 0), (0, 0), (0, 0), (0, VALUE_DIM - KEY_DIM)]  # fast kernels need queries, keys and values of one size

    def flat(nodes):
        nodes = ops.reshape(ops.cast(nodes, dtype), (1, num_frames * PATCHES, 1, CHANNELS))
        query, key, value = (
            ops.matmul(nodes, ops.cast(d.kernel, dtype)) for d in (layer.query, layer.key, layer.value)
        )
        return ops.pad(query, fill), ops.pad(key, fill), value

    def by_keras(nodes):
        return ops.dot_product_attention(*flat(nodes), mask=mask, scale=KEY_DIM**-0.5)

    def by_torch(nodes):
        attend = backend.torch.nn.functional.scaled_dot_product_attention
        inputs = [x.transpose(1, 2) for x in flat(nodes)]
        return attend(*inputs, attn_mask=mask, scale=KEY_DIM**-0.5)

    rivals = {"keras.ops.dot_product_attention": by_keras}
    return rivals | ({"torch SDPA": by_torch} if isinstance(backend, Torch) else {})


def time_attention(backend, num_frames, dtype, gradient, rounds):
    """Return one row for ours and one for each rival."""
    from keras import ops

    from vad_keras.layers import CliqueSelfAttention

    layer = CliqueSelfAttention(KEY_DIM, VALUE_DIM, dtype=DTYPES[dtype])
    layer.build((None, None, PATCHES, CHANNELS))
    nodes = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(1, num_frames, PATCHES, CHANNELS)), dtype)
    what = "forward and gradient" if gradient else "forward"
    functions, rows, runs = {"cliques": layer, **make_rivals(layer, num_frames, dtype, backend)}, [], {}
    for name, function in functions.items():
        row = {"measured": f"{name}, {what}", "dtype": dtype, "frames": num_frames}
        rows.append(row)
        try:
            runs[name], row["peak MB"] = backend.prepare(backend.gradient(function) if gradient else function, nodes)
        except Exception as error:  # out of memory, or the framework has no such kernel
            row["result"] = f"failed: {type(error).__name__}"
    found = median_ms(runs, rounds)
    for name, row in zip(functions, rows, strict=True):
        if name in found:
            row["ms"] = found[name]
            row["result"] = f"{found[name] / found['cliques']:.1f}× cliques"
    return rows


def time_crf(backend, num_frames, rounds):
    """Return the time of ten iterations, beside that of the attention before them."""
    from keras import ops

    from vad_keras.layers import CliqueSelfAttention, MeanFieldCRF

    random, layer, crf = np.random.default_rng(0), CliqueSelfAttention(KEY_DIM, VALUE_DIM), MeanFieldCRF(10, 0.0)
    layer.build((None, None, PATCHES, CHANNELS)), crf.build((None, None, PATCHES, 2))
    nodes = ops.convert_to_tensor(random.normal(size=(1, num_frames, PATCHES, CHANNELS)), "float32")
    unary = ops.convert_to_tensor(random.normal(size=(1, num_frames, PATCHES, 2)), "float32")
    attend, _ = backend.prepare(lambda x: layer(x, return_affinity=True), nodes)
    infer, peak = backend.prepare(crf, unary, attend()[1])
    found = median_ms({"attention": attend, "crf": infer}, rounds)
    share = f"{found['crf'] / found['attention']:.2f}× attention"
    row = {"measured": "MeanFieldCRF, 10 iterations", "ms": found["crf"], "result": share, "peak MB": peak}
    return [{**row, "dtype": "float32", "frames": num_frames}]


def reference(layer, crf, nodes, unary):
    """Compute Eq. 1, 3, 4 and 6 to 8 on one video in float64 NumPy; return ``h`` and the marginals."""
    from keras import ops

    from benchmarks.rivals import band

    kernels = (ops.convert_to_numpy(d.kernel).astype(np.float64) for d in (layer.query, layer.key, layer.value))
    flat = nodes.astype(np.float64).reshape(-1, nodes.shape[-1])
    query, key, value = (flat @ kernel for kernel in kernels)
    scores = query @ key.T / np.sqrt(layer.key_dim)
    affinity = np.zeros_like(scores)
    for weight, locality in zip(ops.convert_to_numpy(layer.locality_weights), layer.temporal_localities, strict=True):
        inside = np.where(band(*nodes.shape[:2], locality), scores, -np.inf)
        share = np.exp(inside - inside.max(axis=1, keepdims=True))
        affinity += weight * share / share.sum(axis=1, keepdims=True)
    h, compatibility = affinity @ value, ops.convert_to_numpy(crf.compatibility)
    np.fill_diagonal(affinity, 0)
    unary = unary.astype(np.float64).reshape(-1, 2)
    marginals = np.exp(-unary) / np.exp(-unary).sum(axis=1, keepdims=True)
    for _ in range(crf.max_iterations):
        energy = unary + affinity @ marginals @ compatibility
        marginals = np.exp(-energy) / np.exp(-energy).sum(axis=1, keepdims=True)
    return h, marginals


def check_numbers(dtype, num_frames):
    """Return the largest error of ``h``, relative to its largest value, and of the marginals."""
    from keras import ops

    from vad_keras.layers import CliqueSelfAttention, MeanFieldCRF

    random = np.random.default_rng(1)
    layer, crf = CliqueSelfAttention(KEY_DIM, VALUE_DIM, dtype=DTYPES[dtype]), MeanFieldCRF(10, tolerance=0.0)
    nodes = random.normal(size=(1, num_frames, PATCHES, CHANNELS)).astype("float32")
    unary = random.normal(size=(1, num_frames, PATCHES, 2)).astype("float32")
    h, affinity = layer(nodes, return_affinity=True)
    marginals = ops.convert_to_numpy(crf(unary, affinity)).reshape(-1, 2)
    h = ops.convert_to_numpy(ops.cast(h, "float32")).reshape(-1, VALUE_DIM)
    expected_h, expected_marginals = reference(layer, crf, nodes[0], unary[0])
    error = np.abs(h - expected_h).max() / np.abs(expected_h).max()
    text = f"h: {error:.1e} of its maximum; marginals: {np.abs(marginals - expected_marginals).max():.1e}"
    return [{"measured": "largest error against float64 NumPy", "dtype": dtype, "frames": num_frames, "result": text}]


def train(dtype, bags, num_frames, epochs):
    """Run `fit` on bags; the abnormal ones have six shifted frames. The loss must fall."""
    import keras

    from vad_keras.models import AnomalyDetector

    keras.utils.set_random_seed(0)
    labels = np.arange(bags) % 2
    nodes = np.random.default_rng(2).normal(size=(bags, num_frames, PATCHES, 64)).astype("float32")
    nodes[labels == 1, num_frames // 2 : num_frames // 2 + 6] += 1.0
    data = {"nodes": nodes, "mask": np.ones((bags, num_frames), bool)}
    detector, ends = AnomalyDetector(dtype=DTYPES[dtype], loss_options={"normalize_embeddings": True}), []
    detector.compile(keras.optimizers.Adam(2e-3))
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    history = detector.fit(data, labels, batch_size=32, epochs=epochs, verbose=0, callbacks=[note]).history
    losses, steps = history["loss"], -(-bags // 32)
    text = f"loss from {losses[0]:.3f} to {losses[-1]:.3f}, bag AUC {history['bag_auc'][-1]:.3f}"
    if not losses[-1] < losses[0]:
        text += "; FAILED: the loss did not fall"
    each = statistics.median(np.diff(ends)) / steps * 1e3
    what = f"AnomalyDetector, training step of 32 bags ({epochs * steps} steps)"
    return [{"measured": what, "dtype": dtype, "frames": num_frames, "ms": each, "result": text}]


def measure(name, small):
    """Measure one backend in this process; return its description and rows."""
    backend = {"jax": Jax, "torch": Torch}[name]()
    lengths, rounds = ((8, 16), 3) if small else ((64, 256, 1024), 50)
    rows = []
    for dtype in DTYPES:
        rows += check_numbers(dtype, 16 if small else 64)
        rows += train(dtype, *((32, 8, 2) if small else (128, 32, 40)))
        for length in lengths:
            for gradient in (False, True):
                rows += time_attention(backend, length, dtype, gradient, rounds)
    for length in lengths[1:]:
        rows += time_crf(backend, length, rounds)
    return f"{backend.version}, {backend.device}", [{"backend": name, **row} for row in rows]


def table(rows):
    """Format the rows as a Markdown table."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *([row.get(column, "") for column in COLUMNS] for row in rows)]
    lines = [[f"{x:,.2f}" if isinstance(x, float) else str(x) for x in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measure_apart(name, small):
    """Measure one backend in a process of its own; return no rows if it is missing or fails."""
    if importlib.util.find_spec(name) is None:
        return f"{name} is not installed", []
    command = [sys.executable, __file__, "--backend", name] + ["--small"] * small
    environment = os.environ | {"KERAS_BACKEND": name, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    start = time.perf_counter()
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        return f"{name} failed with exit code {result.returncode}", []
    head, rows = json.loads(result.stdout.strip().splitlines()[-1])
    return f"{head} (measured in {time.perf_counter() - start:.0f} s)", rows


def main():
    """Measure every backend and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file")
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    parser.add_argument("--backend", choices=BACKENDS, help="measure only this backend and print JSON")
    options = parser.parse_args()
    if options.backend:
        print("\n" + json.dumps(measure(options.backend, options.small)))
        return
    found = [measure_apart(name, options.small) for name in BACKENDS]
    heads, rows = [f"- {head}" for head, _ in found], [row for _, rows in found for row in rows]
    text = "\n".join(["# The core on a GPU", "", *heads, "", NOTE, "", table(rows), ""])
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
