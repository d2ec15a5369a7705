"""`CliqueSelfAttention` beside dense attention, for videos of several lengths."""

from benchmarks.measure import (
    HAS_TORCH,
    MEMORY_LIMIT_BYTES,
    format_ms,
    in_fresh_process,
    machine_rates,
    peak_bytes,
    take_turns,
)

PATCHES, CHANNELS, KEY_DIM, VALUE_DIM = 14, 256, 64, 256
OURS, PROJECTIONS = "cliques", "projections"
RIVALS = {"dense": "dense, once per locality", "keras": "keras.ops", "torch": "torch"}
# Score matrices in memory at once, counted from the tensors that each method keeps for its gradient.
COPIES = {("dense", False): 11, ("dense", True): 20, ("keras", False): 4, ("keras", True): 8}
COPIES |= {("torch", False): 2, ("torch", True): 3}


def make_layer():
    """Return the layer that is measured."""
    from vad_keras.layers import CliqueSelfAttention

    layer = CliqueSelfAttention(KEY_DIM, VALUE_DIM)
    layer.build((None, None, PATCHES, CHANNELS))
    return layer


def make_subject(name, num_frames, gradient):
    """Return a function without arguments that runs one method on one video of random nodes."""
    import tensorflow as tf

    from benchmarks import rivals

    layer, nodes = make_layer(), tf.random.normal((1, num_frames, PATCHES, CHANNELS))
    if name == "torch":
        return rivals.torch_attention(layer, nodes)[gradient]
    function = {
        OURS: lambda: layer,
        PROJECTIONS: lambda: lambda x: (layer.query(x), layer.key(x), layer.value(x)),
        "dense": lambda: rivals.dense_per_locality(layer, nodes),
        "keras": lambda: rivals.keras_attention(layer, nodes),
    }[name]()

    def with_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = function(x)
            loss = sum(tf.reduce_sum(tf.square(y)) for y in (outputs if isinstance(outputs, tuple) else (outputs,)))
        return tape.gradient(
            loss,
            [x, *(variable.value for variable in layer.trainable_variables)],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    compiled = tf.function(with_gradient if gradient else function, autograph=False)
    return lambda: compiled(nodes)


def fits(name, num_frames, gradient):
    """Return whether a rival needs less than the memory limit."""
    return 4 * (num_frames * PATCHES) ** 2 * COPIES[name, gradient] <= MEMORY_LIMIT_BYTES


def time_row(num_frames, gradient, budget_sec=4.0):
    """Return one row of times in ms and ratios to ours. Call it by `in_worker`."""
    names = [name for name in RIVALS if (name != "torch" or HAS_TORCH) and fits(name, num_frames, gradient)]
    subjects = {name: make_subject(name, num_frames, gradient) for name in (OURS, PROJECTIONS, *names)}
    found = take_turns(subjects, budget_sec)
    ours, projections = found[OURS], found[PROJECTIONS]
    row = {"frames": num_frames, OURS: format_ms(ours.wall_ms), "cpu": format_ms(ours.cpu_ms)}
    for name in RIVALS:
        if name not in names:
            row[name] = "over 8 GB" if name != "torch" or HAS_TORCH else "torch is not installed"
            continue
        whole = found[name].wall_ms / ours.wall_ms
        rest = (found[name].cpu_ms - projections.cpu_ms) / max(ours.cpu_ms - projections.cpu_ms, 1e-6)
        row[name] = f"{format_ms(found[name].wall_ms)} = {whole:.1f}× ({max(rest, 0):.1f}×)"
    return row


def growth_row(lengths, budget_sec=4.0):
    """Return how much longer twice the frames take, both lengths taking turns. Call it by `in_worker`."""
    row = {"frames": f"{lengths[1]} / {lengths[0]}"}
    for gradient, column in ((False, "time"), (True, "gradient")):
        found = take_turns({length: make_subject(OURS, length, gradient) for length in lengths}, budget_sec)
        row[column] = f"{found[lengths[1]].wall_ms / found[lengths[0]].wall_ms:.2f}×"
    return row


def memory_row(num_frames, gradient, names=(OURS, *RIVALS)):
    """Return the peak memory in MB of ours and of the rivals, each in its own process."""
    row = {"frames": num_frames, "pass": "with gradient" if gradient else "forward"}
    for name in names:
        if name == OURS or ((name != "torch" or HAS_TORCH) and fits(name, num_frames, gradient)):
            row[name] = round(in_fresh_process(_peak, name, num_frames, gradient) / 1e6)
    return row


def _peak(name, num_frames, gradient):
    return peak_bytes(lambda length: make_subject(name, length, gradient), 8, num_frames)


def bound_row(num_frames, budget_sec):
    """Return the time that the required work takes at the rates of this machine. Call it by `in_worker`."""
    layer = make_layer()
    products_per_sec, bytes_per_sec = machine_rates()
    nodes, widest = num_frames * PATCHES, min(max(layer.temporal_localities), num_frames)
    projections = nodes * CHANNELS * (2 * KEY_DIM + VALUE_DIM)
    products = projections + nodes * widest * PATCHES * (KEY_DIM + VALUE_DIM)
    moved = 4 * nodes * (CHANNELS + VALUE_DIM)
    timing = take_turns({OURS: make_subject(OURS, num_frames, False)}, budget_sec)[OURS]
    bound_ms = 1e3 * max(products / products_per_sec, moved / bytes_per_sec)
    return {
        "frames": num_frames,
        "rates": f"{products_per_sec / 1e9:.0f} G multiply-adds/s, copy {bytes_per_sec / 1e9:.1f} GB/s",
        "required": f"{products / 1e6:.0f} M multiply-adds ({projections / products:.0%} projections), "
        f"{moved / 1e6:.1f} MB",
        "bound": format_ms(bound_ms),
        OURS: f"{format_ms(timing.wall_ms)} = {timing.wall_ms / bound_ms:.2f}×",
    }
