"""Small QKeras models of several inputs or outputs, for `keras_models.py`; they are proved by Keras itself."""

from qkeras import QActivation, QConv1D, QConv2D, QDense
from tf_keras import Model, layers

CODES = "quantized_relu(4,1)"


def dense(count, **options):
    return QDense(
        count,
        kernel_quantizer="quantized_bits(4,0,alpha=1)",
        bias_quantizer="quantized_bits(6,1,alpha=1)",
        **options,
    )


def fusion():
    """A signal and a few features join late, as vectors of which only one comes from a one-dimensional map."""
    signal, features = layers.Input((12, 2), name="signal"), layers.Input((5,), name="features")
    x = QActivation("quantized_bits(6,0,alpha=1)", name="grid")(signal)
    x = QConv1D(6, 3, padding="same", kernel_quantizer="quantized_bits(3,0,alpha=1)", use_bias=False)(x)
    x = layers.MaxPooling1D(2)(QActivation(CODES, name="a")(x))
    x = QActivation(CODES, name="b")(dense(4)(layers.Flatten()(x)))
    y = QActivation(CODES, name="c")(dense(4)(QActivation("quantized_bits(8,1,alpha=1)", name="numbers")(features)))
    both = layers.Concatenate()([x, y, layers.Add()([y, x])])
    return Model([features, signal], dense(3)(both))


def heads():
    """One body, two classifiers, each with a softmax of its own."""
    image = layers.Input((6, 6, 2), name="image")
    x = QActivation("quantized_bits(6,0,alpha=1)", name="grid")(image)
    x = QConv2D(4, 3, strides=2, kernel_quantizer="quantized_bits(3,0,alpha=1)", use_bias=False)(x)
    x = layers.Flatten()(QActivation(CODES, name="a")(x))
    return Model(image, [layers.Softmax(name="coarse")(dense(3)(x)), dense(6, activation="softmax", name="fine")(x)])


MODELS = (fusion, heads)
