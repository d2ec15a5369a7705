"""`RelationGate` beside the explicit matrix of all pairs of positions."""

from benchmarks.measure import format_ms, in_fresh_process, in_worker, peak_bytes, take_turns

FRAMES, CHANNELS, EMBEDDING_DIM = 8, 512, 256
SUBJECTS = {"gate": "RelationGate", "matrix": "explicit KWH × KWH"}


def make_subject(name, size, channels=CHANNELS):
    """Return a function without arguments that gates the maps of one snippet."""
    import tensorflow as tf
    from keras import ops

    from vad_keras.layers import RelationGate

    gate, maps = RelationGate(EMBEDDING_DIM), tf.random.normal((1, FRAMES, size, size, channels))
    gate.build(maps.shape)

    def explicit(maps):
        """Compute Sec 3.2 as printed: gamma appended to the feature, times a weight."""
        flat = ops.reshape(maps, (-1, channels))
        first = ops.matmul(flat, gate.psi1_kernel) + gate.psi1_bias
        second = ops.matmul(flat, gate.psi2_kernel) + gate.psi2_bias
        gamma = ops.matmul(first, ops.transpose(second))
        weight = ops.concatenate([gate.feature_weight, ops.reshape(gate.position_weight, (-1,))])
        logits = ops.matmul(ops.concatenate([flat, gamma], axis=1), weight[:, None]) + gate.bias
        return ops.reshape(ops.sigmoid(logits) * flat, maps.shape)

    compiled = tf.function(gate if name == "gate" else explicit, autograph=False)
    return lambda: compiled(maps)


def rows(budget_sec, sizes=(7, 14), channels=CHANNELS, memory=True):
    """Return the rows: times from one process, each peak memory from a process of its own."""
    found = in_worker(_times, sizes, channels, budget_sec)
    if not memory:
        return found
    for row, size in zip(found, sizes, strict=True):
        for name in SUBJECTS:
            row[f"{name}_mb"] = round(in_fresh_process(_peak, name, size, channels) / 1e6, 1)
    return found


def _times(sizes, channels, budget_sec):
    subjects = {(name, size): make_subject(name, size, channels) for size in sizes for name in SUBJECTS}
    found, result = take_turns(subjects, budget_sec), []
    for size in sizes:
        gate, matrix = (found[name, size].wall_ms for name in SUBJECTS)
        growth = gate / found["gate", sizes[0]].wall_ms
        result.append({"positions": FRAMES * size**2, "gate": f"{format_ms(gate)} ({growth:.1f}×)"})
        result[-1]["matrix"] = f"{format_ms(matrix)} = {matrix / gate:.1f}×"
    return result


def _peak(name, size, channels):
    return peak_bytes(lambda side: make_subject(name, side, channels), 1, size)
