"""The optimizer of the detector and of the baselines."""

import keras

from vad_keras.models.baselines import AdamL2


def build_optimizer(options):
    """Return the configured optimizer. Adagrad starts with accumulators of 0, as in [1].

    Each of ``drop_steps`` divides the learning rate by 10. The norm that ``clip_norm`` limits is that of all gradients
    together, as ``torch.nn.utils.clip_grad_norm_`` takes it.

    The default of Keras is 0.1. Gradients far below that hardly change a weight, and Sultani's network then keeps its
    first scores for hundreds of epochs.
    """
    rate = options.learning_rate
    if options.drop_steps:
        rates = [rate * 0.1**drops for drops in range(len(options.drop_steps) + 1)]
        last = [step - 1 for step in sorted(options.drop_steps)]  # the schedule counts from 0, the bound included
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(last, rates)
    clip_norm = options.clip_norm or None
    if options.optimizer == "adam_l2":
        return AdamL2(rate, l2=options.weight_decay, global_clipnorm=clip_norm)
    optimizer, settings = {
        "adam": (keras.optimizers.AdamW, {}),
        "adagrad": (keras.optimizers.Adagrad, {"initial_accumulator_value": 0.0, "epsilon": 1e-12}),
        "rmsprop": (keras.optimizers.RMSprop, {}),
        "sgd": (keras.optimizers.SGD, {"momentum": 0.9}),
    }[options.optimizer]
    no_decay = 0.0 if optimizer is keras.optimizers.AdamW else None  # AdamW refuses None
    decay = options.weight_decay or no_decay
    return optimizer(rate, weight_decay=decay, global_clipnorm=clip_norm, **settings)
