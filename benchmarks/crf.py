"""`MeanFieldCRF` beside the attention before it, and beside the same recurrence on a dense kernel."""

from benchmarks.attention import PATCHES, make_layer
from benchmarks.measure import format_ms, take_turns

ITERATIONS = (1, 10)


def make_subjects(num_frames):
    """Return functions of the attention, the CRF and the gradients of both, and the number of affinity weights."""
    import tensorflow as tf

    from vad_keras.layers import MeanFieldCRF, dense_affinity

    layer = make_layer()
    nodes = tf.random.normal((1, num_frames, PATCHES, 256))
    unary = tf.random.normal((1, num_frames, PATCHES, 2))
    attend = tf.function(lambda x: layer(x, return_affinity=True), autograph=False)
    _, affinity = attend(nodes)
    dense = dense_affinity(affinity, num_frames)
    subjects = {"attention": lambda: attend(nodes)}
    for count in ITERATIONS:
        crf = MeanFieldCRF(count, tolerance=0.0)
        crf.build(unary.shape)
        compiled = tf.function(lambda u, a, crf=crf: crf(u, a), autograph=False)
        subjects[count] = lambda compiled=compiled: compiled(unary, affinity)
        subjects["dense", count] = lambda compiled=compiled: compiled(unary, dense)
    subjects["attention step"] = _step(
        tf, lambda x: layer(x, return_affinity=True)[0], layer.trainable_variables, nodes
    )
    both = layer.trainable_variables + crf.trainable_variables

    def attention_and_crf(x):
        h, affinity = layer(x, return_affinity=True)
        return tf.reduce_sum(h**2) + tf.reduce_sum(crf(unary, affinity)[..., 1])

    subjects["both step"] = _step(tf, attention_and_crf, both, nodes)
    return subjects, affinity.weights.shape.num_elements()


def _step(tf, function, variables, nodes):
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function(x) ** 2)
        return tape.gradient(
            loss, [variable.value for variable in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    compiled = tf.function(step, autograph=False)
    return lambda: compiled(nodes)


def row(num_frames, budget_sec):
    """Return one row of the table. Call it by `in_worker`."""
    from benchmarks.measure import machine_rates

    subjects, elements = make_subjects(num_frames)
    found = {name: timing.wall_ms for name, timing in take_turns(subjects, budget_sec).items()}
    one, ten = (found[count] for count in ITERATIONS)
    reading = 1e3 * 4 * elements * ITERATIONS[1] / machine_rates()[1]
    return {
        "frames": num_frames,
        "attention": format_ms(found["attention"]),
        "one": format_ms(one),
        "ten": f"{format_ms(ten)} = {ten / found['attention']:.2f}× attention",
        "bound": format_ms(reading),
        "dense": f"{format_ms(found['dense', ITERATIONS[1]])} = {found['dense', ITERATIONS[1]] / ten:.1f}×",
        "step": f"{format_ms(found['attention step'])} + {format_ms(found['both step'] - found['attention step'])}",
    }
