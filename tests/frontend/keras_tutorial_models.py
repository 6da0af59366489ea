"""Writes the networks of hls4ml's tutorial as it does: `python keras_tutorial_models.py FOLDER`.

A program of its own, because QKeras wants Keras 2 under the name `keras` and TensorFlow stays out of the test process.
"""

import sys
from pathlib import Path

import tf_keras

sys.modules["keras"] = tf_keras

import numpy as np  # noqa: E402
from qkeras import QActivation, QConv2DBatchnorm, QDense  # noqa: E402
from tensorflow_model_optimization.sparsity import keras as sparsity  # noqa: E402
from tf_keras import Model, layers  # noqa: E402

from muxflow.frontend.keras.v2.classes import QDenseBatchnorm  # noqa: E402

SIX_BITS = "quantized_bits(6,0,alpha=1)"


def tutorial():
    """The quantized CNN of the tutorial's part 6: fused batch norms, a float layer and a softmax at the end."""
    x = image = layers.Input((32, 32, 3))
    for number, filters in enumerate((16, 16, 24)):
        quantizers = {"kernel_quantizer": SIX_BITS, "bias_quantizer": SIX_BITS}
        x = QConv2DBatchnorm(filters, kernel_size=(3, 3), use_bias=True, name=f"fused_convbn_{number}", **quantizers)(x)
        x = QActivation("quantized_relu(6)", name=f"conv_act_{number}")(x)
        x = layers.MaxPooling2D(pool_size=(2, 2), name=f"pool_{number}")(x)
    x = layers.Flatten()(x)
    for number, units in enumerate((42, 64)):
        x = QDense(units, kernel_quantizer=SIX_BITS, use_bias=False, name=f"dense_{number}")(x)
        x = layers.BatchNormalization(name=f"bn_dense_{number}")(x)
        x = QActivation("quantized_relu(6)", name=f"dense_act_{number}")(x)
    x = layers.Dense(10, name="output_dense")(x)
    return Model(image, layers.Activation("softmax", name="output_softmax")(x), name="qkeras")


def pruned(model):
    """Every layer with weights but the last in tfmot's wrapper, as the tutorial's pruneFunction does."""
    schedule = sparsity.PolynomialDecay(
        initial_sparsity=0.0, final_sparsity=0.5, begin_step=2, end_step=10, frequency=1
    )

    def wrapped(layer):
        if isinstance(layer, layers.Conv2D | layers.Dense) and layer.name != "output_dense":
            return sparsity.prune_low_magnitude(layer, pruning_schedule=schedule)
        return layer

    return tf_keras.models.clone_model(model, clone_function=wrapped)


def train(model):
    """A few steps on noise; then plausible statistics, and masks that weights do not obey yet."""
    rng = np.random.default_rng(0)
    model.compile("adam", "categorical_crossentropy")
    x, y = rng.random((64, 32, 32, 3)), np.eye(10)[rng.integers(0, 10, 64)]
    model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[sparsity.UpdatePruningStep()])
    for variable in model.weights:
        if "variance" in variable.name:
            variable.assign(rng.uniform(0.05, 0.4, variable.shape))
        if "beta" in variable.name:
            variable.assign(rng.uniform(0, 0.4, variable.shape))
        if "mask" in variable.name:
            variable.assign(variable * rng.integers(0, 4, variable.shape).astype(bool))


def dense_batchnorm():
    """Dense layers with batch norms in their weights."""
    features = layers.Input((9,))
    x = QActivation("quantized_bits(6,0,alpha=1)", name="grid")(features)
    for number, options in enumerate(({}, {"use_bias": False, "scale": False}, {"center": False, "epsilon": 0.01})):
        quantizers = {"kernel_quantizer": SIX_BITS, "bias_quantizer": SIX_BITS}
        x = QDenseBatchnorm(8, name=f"dense_{number}", **quantizers, **options)(x)
        x = QActivation("quantized_relu(4,1)", name=f"act_{number}")(x)
    model = Model(features, x)
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if variable.dtype.is_floating:
            low = 0.3 if "variance" in variable.name else -1
            variable.assign(rng.uniform(low, 1, variable.shape))
    return model


def main(folder):
    tf_keras.utils.set_random_seed(0)
    model = pruned(tutorial())
    train(model)
    model.save(folder / "pruned_cnn.h5")
    dense_batchnorm().save(folder / "dense_batchnorm.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
