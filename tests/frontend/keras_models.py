"""Makes small Keras and QKeras models with inputs and what Keras computes: `python keras_models.py FOLDER`.

A program of its own, because QKeras wants Keras 2 under the name `keras` and TensorFlow stays out of the test process.
Each model `m` becomes `m.h5` or `m.keras` and `m.npz`: inputs `x`, and the output of each layer by `predict`.
"""

import sys
from pathlib import Path

import tf_keras

sys.modules["keras"] = tf_keras

import numpy as np  # noqa: E402
from keras_encoder_models import MODELS as ENCODER_MODELS  # noqa: E402
from keras_encoder_models import measure as measure_shifts  # noqa: E402
from keras_encoder_models import twins as encoder_twins  # noqa: E402
from keras_ern_models import MODELS as ERN_MODELS  # noqa: E402
from keras_ern_models import measure  # noqa: E402
from keras_mobilenet_models import MODELS as MOBILENET_MODELS  # noqa: E402
from keras_mobilenet_models import twins as bank_twins  # noqa: E402
from keras_ports_models import MODELS as PORTS_MODELS  # noqa: E402
from keras_values import joined, settle, whole_output  # noqa: E402
from qkeras import (  # noqa: E402
    QLSTM,
    QActivation,
    QAveragePooling2D,
    QBatchNormalization,
    QConv1D,
    QConv2D,
    QConv2DBatchnorm,
    QDense,
    QDepthwiseConv2D,
    QDepthwiseConv2DBatchnorm,
    QGlobalAveragePooling2D,
    QSeparableConv2D,
    get_quantizer,
)
from tf_keras import Model, Sequential, layers  # noqa: E402

from muxflow.frontend.training.keras.mognet import CellularAutomatonConv2D, MuxJoin, OrJoin  # noqa: E402

MODELS = {}
ZOO_MODELS = ERN_MODELS | MOBILENET_MODELS
"""Of the ready-made networks, which begin with pixels."""
SIGNED = "quantized_bits(8,0,alpha=1)"


def model(make):
    MODELS[make.__name__] = make
    return make


def chain(shape, *parts, first=SIGNED):
    x = image = layers.Input(shape, name="image")
    for part in (QActivation(first, name="grid"), *parts):
        x = part(x)
    return Model(image, x)


def conv(filters=4, kernel=3, bits="quantized_bits(3,0,alpha=1)", name=None, **options):
    options = {"bias_quantizer": "quantized_bits(6,1,alpha=1)"} | options
    return QConv2D(filters, kernel, kernel_quantizer=bits, name=name, **options)


@model
def same_stride():
    """Asymmetrical 'same' padding, Flatten in channel-last order, no batch norm: ties are frequent."""
    return chain(
        (7, 6, 3),
        conv(strides=2, padding="same"),
        QActivation("quantized_relu(3,1)", name="a"),
        conv(6, 4, strides=3, padding="same", bits="quantized_bits(2,0,alpha=1)"),
        QActivation("quantized_bits(3,2,1,alpha=1)", name="b"),
        layers.Flatten(),
        QDense(5, kernel_quantizer="quantized_bits(4,0,alpha=1)", bias_quantizer="quantized_bits(4,0,alpha=1)"),
    )


@model
def batch_norm():
    """Batch norm on maps and vectors, float scales a channel (alpha='auto'), a softmax at the end."""
    return chain(
        (8, 8, 2),
        conv(8, bits="quantized_bits(3,0,1,alpha='auto')", use_bias=False),
        layers.BatchNormalization(),
        QActivation("quantized_relu(3,1)", name="a"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        QDense(9, kernel_quantizer="quantized_bits(4,0,1,alpha='auto_po2')"),
        layers.BatchNormalization(scale=False),
        QActivation("quantized_tanh(4)", name="b"),
        layers.Dropout(0.5),
        QDense(4, kernel_quantizer="ternary(alpha='auto')"),
        layers.Activation("softmax", name="last"),
    )


@model
def binary_net():
    """Binary and ternary weights and activations."""
    return chain(
        (6, 6, 3),
        conv(8, bits="binary(alpha=1)", use_bias=False),
        layers.BatchNormalization(center=False),
        QActivation("binary(alpha=1)", name="a"),
        conv(8, bits="ternary(alpha=1)", padding="same"),
        QActivation("ternary(alpha=0.5, threshold=2)", name="b"),
        conv(5, bits="binary(alpha='auto_po2')", use_bias=False),
        QActivation("binary(use_01=1, alpha=1)", name="c"),
        layers.Flatten(),
        QDense(3, kernel_quantizer="binary(alpha='auto')"),
        first="binary(alpha=1)",
    )


@model
def residual():
    """A quantizer after a quantized convolution, depthwise, 1x1, residual add: hls4ml drops the quantizer."""
    image = layers.Input((8, 8, 3), name="image")
    x = QActivation(SIGNED, name="grid")(image)
    x = QActivation("quantized_relu(3,1)", name="a")(conv(6, padding="same")(x))
    y = QDepthwiseConv2D(3, padding="same", depthwise_quantizer="quantized_bits(3,0,alpha=1)", use_bias=False)(x)
    y = QActivation("quantized_bits(4,2,alpha=1)", name="b")(y)
    y = QActivation("quantized_relu(3,1)", name="c")(conv(6, 1)(y))
    x = layers.Add(name="sum")([x, y, x])
    x = QActivation("quantized_relu(4,2)", name="d")(x)
    z = conv(4, 1, activation="quantized_relu(4,2)", name="e")(x)
    x = layers.Concatenate(name="both")([x, z])
    x = layers.GlobalAveragePooling2D()(x)
    return Model(image, QDense(4, kernel_quantizer="quantized_bits(4,0,alpha=1)", name="logits")(x))


@model
def averages():
    """Average pools of 2x2, 3x3 and 4x4, where hls4ml truncates; the quantizer stands after them."""
    return chain(
        (12, 12, 2),
        layers.AveragePooling2D(3, strides=2),
        QActivation("quantized_bits(6,0,alpha=1)", name="a"),
        layers.AveragePooling2D(2, strides=1),
        QActivation("quantized_relu(4,0)", name="b"),
        QAveragePooling2D(
            2, average_quantizer="quantized_bits(4,0,alpha=1)", activation="quantized_relu(4,0)", name="c"
        ),
        layers.Flatten(),
        QDense(3, kernel_quantizer="quantized_bits(4,0,alpha=1)"),
    )


@model
def grouped():
    """A grouped convolution (1 < g < C), which hls4ml computes wrongly; depthwise with a multiplier; separable."""
    return chain(
        (7, 7, 3),
        conv(8, name="start", activation="quantized_relu(3,1)"),
        conv(12, groups=4, padding="same"),
        QActivation("quantized_relu(3,2)", name="a"),
        QDepthwiseConv2D(2, depth_multiplier=2, depthwise_quantizer="ternary(alpha=1)", use_bias=False),
        QActivation("quantized_relu(3,2)", name="b"),
        QSeparableConv2D(
            5,
            2,
            depthwise_quantizer="quantized_bits(2,0,alpha=1)",
            pointwise_quantizer="quantized_bits(3,0,alpha=1)",
            bias_quantizer="quantized_bits(4,0,alpha=1)",
            strides=2,
        ),
        QActivation("quantized_bits(6,3,alpha=1)", name="c"),
    )


@model
def po2():
    """Power-of-two weights and activations, a quantized batch norm, dilation, other rounding and bounds."""
    return chain(
        (9, 9, 2),
        conv(6, bits="quantized_po2(4,1)", dilation_rate=2),
        QBatchNormalization(
            gamma_quantizer="quantized_bits(6,2,alpha=1)",
            beta_quantizer="quantized_bits(6,2,alpha=1)",
            mean_quantizer="quantized_bits(8,3,alpha=1)",
            variance_quantizer="quantized_relu(8,4)",
        ),
        QActivation("quantized_relu_po2(3,2)", name="a"),
        conv(6, 1, bits="quantized_bits(4,1,1,alpha=0.75)"),
        QActivation("quantized_relu(4,2,use_sigmoid=1)", name="b"),
        conv(6, 1),
        QActivation("quantized_relu(4,1,negative_slope=0.25)", name="c"),
        conv(6, 1),
        QActivation("quantized_po2(3,1)", name="e"),
        conv(4, 1),
        QActivation("quantized_relu(6,2,relu_upper_bound=2.5,is_quantized_clip=False)", name="d"),
        layers.GlobalMaxPooling2D(),
        layers.Reshape((2, 2)),
    )


@model
def wide():
    """Weights and activations of more than 8 bits; power-of-two weights from one end of their range to the other."""
    return chain(
        (6, 6, 2),
        conv(4, bits="quantized_bits(10,2,1,alpha=1)"),
        QActivation("quantized_relu(10,2)", name="a"),
        conv(4, 1, bits="quantized_po2(5,1)"),
        QActivation("quantized_bits(12,3,alpha=1)", name="b"),
        layers.Flatten(),
        QDense(3, kernel_quantizer="quantized_bits(12,0,alpha=1)"),
    )


@model
def float_relu():
    """Float ReLU before the quantizer, dense on a map, Reshape to another map, the legacy Sequential form."""
    return Sequential(
        [
            layers.Input((4, 6, 2), name="image"),
            QActivation("quantized_bits(12,2,alpha=1)", name="grid"),
            conv(4, 1, activation="relu"),
            QActivation("quantized_bits(5,2,alpha=1)", name="a"),
            QDense(4, kernel_quantizer="quantized_bits(3,0,alpha=1)"),
            layers.ReLU(max_value=2.0),
            QActivation("quantized_relu(4,1)", name="b"),
            layers.Flatten(),
            layers.Reshape((96,)),
            QDense(3, kernel_quantizer="quantized_bits(3,0,alpha=1)", activation="linear"),
        ]
    )


@model
def plain():
    """Float layers whose weights lie on a grid, no quantizer at the input, QKeras' global average."""
    image = layers.Input((6, 6, 2), name="image")
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.SpatialDropout2D(0.1)(QActivation("quantized_sigmoid(4)", name="a")(x))
    x = layers.DepthwiseConv2D(2, padding="same")(x)
    x = layers.GaussianNoise(0.1)(QActivation("quantized_bits(4,2,alpha=1)", name="b")(x))
    x = QActivation("quantized_relu(5,3)", name="c")(layers.SeparableConv2D(6, 2)(x))
    x = QGlobalAveragePooling2D(
        average_quantizer="quantized_bits(5,0,alpha=1)", activation="quantized_relu(6,2)", name="d"
    )(x)
    return Model(image, layers.Dense(3)(layers.ActivityRegularization()(x)))


@model
def features():
    """Vectors in, as jet tagging has them."""
    return chain(
        (16,),
        QDense(12, kernel_quantizer="quantized_bits(6,0,alpha=1)", bias_quantizer="quantized_bits(6,0,alpha=1)"),
        layers.BatchNormalization(),
        QActivation("quantized_relu(6,1)", name="a"),
        QDense(5, kernel_quantizer="quantized_bits(6,0,alpha=1)", bias_quantizer="quantized_bits(6,0,alpha=1)"),
        layers.Softmax(),
        first="quantized_bits(16,6,1,alpha=1)",
    )


@model
def digits():
    """Trained on the digits."""
    from sklearn.datasets import load_digits

    net = chain(
        (8, 8, 1),
        conv(8, use_bias=False),
        layers.BatchNormalization(),
        QActivation("quantized_relu(2,1)", name="a"),
        layers.MaxPooling2D(2),
        conv(12, 2, use_bias=False),
        layers.BatchNormalization(),
        QActivation("quantized_relu(2,1)", name="b"),
        layers.Flatten(),
        QDense(10, kernel_quantizer="quantized_bits(3,0,alpha=1)", name="logits"),
        first="quantized_relu(5,1)",
    )
    data = load_digits()
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(tf_keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    net.fit(data.images[:1500, ..., None] / 16, data.target[:1500], batch_size=50, epochs=8, verbose=0)
    return net


@model
def joins():
    """Generated weights in both alphabets, every select mode, OR, and joins of other channel counts."""
    image = layers.Input((6, 5, 3), name="image")
    x = QActivation("quantized_relu(3,0)", name="grid")(image)
    parts = [
        (MuxJoin("channel", name="a"), dict(filters=4, seed=3)),
        (MuxJoin("channel-mean", name="b"), dict(filters=6, ring=40, rule=45, burn_in=2)),
        (MuxJoin("element", "or", name="c"), dict(filters=5, ring=24, alphabet="ternary", seed=1)),
        (MuxJoin("always", "or", name="d"), dict(filters=5, ring=30)),
        (OrJoin(name="e"), dict(filters=7, ring=24, seed=2)),
    ]
    for number, (join, options) in enumerate(parts):
        f = CellularAutomatonConv2D(**{"ring": 24} | options, name=f"made{number}")(x)
        f = QActivation("quantized_relu(3,0)", name=f"f{number}")(layers.BatchNormalization()(f))
        x = join([x, f])
    return Model(image, layers.GlobalAveragePooling2D()(x))


@model
def nested():
    """Models inside models: a functional one used twice, with a shared layer, around a sequential one."""
    inside = layers.Input((6, 6, 4), name="image")
    deep = Sequential([conv(4, padding="same"), QActivation("quantized_relu(3,1)", name="a")], name="deep")
    y = layers.Add(name="sum")([deep(inside), inside])
    block = Model(inside, QActivation("quantized_relu(3,1)", name="a")(y), name="block")
    image = layers.Input((6, 6, 4), name="image")
    x = block(block(QActivation("quantized_relu(3,1)", name="grid")(image)))
    x = QActivation("quantized_relu(3,1)", name="a")(conv(3, 1)(x))
    head = Sequential([layers.Flatten(), QDense(3, kernel_quantizer="quantized_bits(3,0,alpha=1)")], name="head")
    return Model(image, head(x))


@model
def radio():
    """One-dimensional convolutions: causal, dilated, after zeros; pools over time."""
    image = layers.Input((16, 2), name="image")
    x = QActivation(SIGNED, name="grid")(image)
    for name, filters, options in (("a", 8, {"padding": "same"}), ("b", 6, {"padding": "causal", "dilation_rate": 2})):
        x = QConv1D(filters, 3, kernel_quantizer="quantized_bits(3,0,alpha=1)", use_bias=False, **options)(x)
        x = QActivation("quantized_relu(4,2)", name=name)(layers.BatchNormalization()(x))
        x = layers.MaxPooling1D(2)(x)
    x = layers.ZeroPadding1D((1, 0))(x)
    x = QConv1D(4, 2, strides=2, kernel_quantizer="quantized_bits(3,0,alpha=1)", use_bias=False)(x)
    x = layers.AveragePooling1D(2)(QActivation("quantized_relu(4,2)", name="c")(x))
    both = layers.Concatenate()([layers.Flatten()(x), layers.GlobalMaxPooling1D()(x)])
    return Model(image, QDense(3, kernel_quantizer="quantized_bits(3,0,alpha=1)")(QActivation(SIGNED, name="d")(both)))


@model
def padded():
    """Zeros put around maps by a layer of their own, unequal on the four sides; two readers of one of them."""
    image = layers.Input((7, 6, 2), name="image")
    x = layers.ZeroPadding2D(((1, 0), (0, 2)), name="zeros")(QActivation(SIGNED, name="grid")(image))
    y = QActivation("quantized_relu(3,1)", name="a")(conv(4, strides=2)(x))
    z = QDepthwiseConv2D(3, strides=2, depthwise_quantizer="ternary(alpha=1)", use_bias=False)(x)
    z = QActivation("quantized_bits(3,1,alpha=1)", name="b")(conv(4, 1)(z))
    x = layers.ZeroPadding2D(1)(
        layers.ZeroPadding2D((0, 1))(QActivation("quantized_relu(3,1)", name="c")(layers.Add()([y, z])))
    )
    return Model(image, conv(2, 2)(x))


@model
def folded():
    """Batch norm that QKeras folds into the kernel before it quantizes."""
    signed = "quantized_bits(4,1,1,alpha=1)"
    return chain(
        (7, 7, 3),
        QConv2DBatchnorm(8, 3, kernel_quantizer=signed, bias_quantizer="quantized_bits(6,2,1,alpha=1)", padding="same"),
        QActivation("quantized_relu(3,1)", name="a"),
        QDepthwiseConv2DBatchnorm(
            3, depthwise_quantizer=signed, bias_quantizer="quantized_bits(6,2,1,alpha=1)", use_bias=False
        ),
        QActivation("quantized_relu(3,1)", name="b"),
        QConv2DBatchnorm(
            4,
            1,
            kernel_quantizer="quantized_bits(4,0,1,alpha='auto')",
            folding_mode="batch_stats_folding",
            activation="quantized_relu(3,1)",
            name="c",
        ),
        layers.Flatten(),
        QDense(3, kernel_quantizer="quantized_bits(3,0,alpha=1)"),
    )


@model
def bad():
    """Layers that are not supported, one after the other."""
    return chain(
        (6, 6, 2),
        conv(4, bits="quantized_bits(3,0,1,alpha='auto')", name="fine"),
        QActivation("quantized_relu(17,2)", name="wide"),
        layers.UpSampling2D(name="larger"),
    )


@model
def lone():
    """Functions that no step function stands for, each on its own branch."""
    image = layers.Input((4, 4, 2), name="image")
    x = QActivation(SIGNED, name="grid")(image)
    branches = [
        QActivation("quantized_bits(4,0,1,alpha='auto')", name="moving")(x),
        QActivation("bernoulli(alpha=1)", name="random")(x),
        QActivation("hard_tanh", name="smooth")(x),
        QActivation("quantized_ulaw(4)", name="ulaw")(x),
        QActivation("quantized_hswish(4,1)", name="turning")(x),
        QConv2D(2, 3, padding="same", kernel_quantizer="bernoulli(alpha=1)", name="random_weights")(x),
        QConv2D(2, 1, kernel_quantizer=SIGNED, name="lost")(x),
        layers.Dropout(0.5, name="trains")(x, training=True),
        QActivation(SIGNED, name="half", dtype="float16")(x),
        layers.BatchNormalization(axis=1, name="rows")(x),
        QActivation("quantized_po2(5)", name="powers")(x),
        QActivation("quantized_relu_po2(4,max_value=0.5)", name="fine_powers")(x),
        QActivation("quantized_relu_po2(4,max_value=4)", name="few_powers")(x),
    ]
    return Model(image, layers.Concatenate(name="all")(branches))


@model
def resized():
    """Maps that grow, shrink and are padded; Keras' own functions before quantizers."""
    return chain(
        (7, 6, 3),
        layers.ZeroPadding2D(((1, 0), (2, 1))),
        layers.MaxPooling2D(2, strides=1, name="pooled"),
        conv(4, strides=2, padding="same"),
        layers.LeakyReLU(0.25),
        QActivation("quantized_bits(4,1,alpha=1)", name="a"),
        layers.AveragePooling2D(3, strides=2, padding="same"),
        QActivation("quantized_bits(5,1,alpha=1)", name="b"),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same", use_bias=False),
        layers.PReLU(shared_axes=[1, 2]),
        QActivation("quantized_bits(4,1,alpha=1)", name="c"),
        layers.UpSampling2D((3, 2), name="larger"),
        layers.Cropping2D(((1, 0), (0, 2)), name="cropped"),
        layers.Conv2DTranspose(5, 2, strides=3),
        layers.Activation("swish"),
        QActivation("quantized_relu(4,2)", name="d"),
        layers.ZeroPadding2D(1),
        conv(3, 1, padding="same", strides=4),  # windows further apart than they are wide: no padding, no crop
        layers.Activation("tanh"),
        QActivation("quantized_bits(4,0,alpha=1)", name="e"),
        layers.Permute((2, 3, 1)),
        layers.Flatten(),
        QDense(4, kernel_quantizer="quantized_bits(4,0,alpha=1)", bias_quantizer="quantized_bits(4,0,alpha=1)"),
        layers.Activation("sigmoid"),
    )


@model
def stochastic():
    """Stochastic quantizers, which round and choose deterministically at inference."""
    return chain(
        (5, 5, 3),
        conv(6, bits="stochastic_ternary(alpha='auto')"),
        QActivation("stochastic_binary(alpha=1)", name="a"),
        conv(6, bits="stochastic_binary(alpha='auto_po2')", padding="same"),
        QActivation("stochastic_ternary(alpha=1)", name="b"),
        conv(6, 1, bits="quantized_bits(3,0,alpha=1,use_stochastic_rounding=True)"),
        QActivation("quantized_relu(3,1,use_stochastic_rounding=True)", name="c"),
        layers.Flatten(),
        QDense(3, kernel_quantizer="stochastic_ternary(alpha='auto_po2')"),
    )


@model
def sixteen():
    """Activations of 16 bits and power-of-two scales, as hls4ml's users have them: shifts, not thresholds."""
    return chain(
        (5, 6, 2),
        conv(4, bits="quantized_bits(6,0,alpha=1)", bias_quantizer="quantized_bits(12,2,alpha=1)"),
        QActivation("quantized_relu(16,6)", name="a"),
        layers.Flatten(),
        QDense(6, kernel_quantizer="quantized_bits(4,0,alpha=1)", bias_quantizer="quantized_bits(8,2,alpha=1)"),
        QActivation("quantized_bits(16,6,alpha=1)", name="b"),
        QDense(3, kernel_quantizer="quantized_bits(6,0,alpha=1)"),
    )


@model
def recurrent():
    """Recurrent layers, and what Keras wraps around sequences, each on its own branch."""
    sequence = layers.Input((6, 3), name="sequence")
    x = QActivation(SIGNED, name="grid")(sequence)
    quantizers = dict.fromkeys(
        ("kernel_quantizer", "recurrent_quantizer", "bias_quantizer"), "quantized_bits(3,0,1,alpha=1)"
    )
    quantizers["state_quantizer"] = "quantized_bits(6,1,1,alpha=1)"

    def memory(units, **options):
        return QLSTM(
            units, activation="quantized_tanh(4)", recurrent_activation="quantized_sigmoid(4)", **quantizers, **options
        )

    branches = [
        memory(4, name="memory")(x),
        layers.Bidirectional(memory(2), name="both")(x),
        layers.GRU(2, name="gated")(x),
        layers.RNN(layers.LSTMCell(2), name="cells")(x),
        layers.Flatten()(layers.TimeDistributed(QDense(2), name="each")(x)),
        layers.Flatten()(layers.Masking(name="masked")(x)),
    ]
    return Model(sequence, layers.Concatenate(name="all")(branches))


def main(folder):
    joined(folder)
    encoder_twins(folder)
    bank_twins(folder)
    for number, (name, make) in enumerate((MODELS | ZOO_MODELS).items()):
        tf_keras.utils.set_random_seed(number)
        rng = np.random.default_rng(number)
        net = make()
        if name == "digits":
            from sklearn.datasets import load_digits

            x = load_digits().images[1500:, ..., None].astype(np.float32) / 16
        else:
            settle(net, rng)
            if name == "lone":
                net.get_layer("lost").set_weights([np.full((1, 1, 2, 2), np.nan), np.zeros(2)])
            grid = "pixels" if name in ZOO_MODELS else "grid"
            first = get_quantizer(SIGNED) if name == "plain" else net.get_layer(grid).quantizer
            x = np.asarray(first(rng.uniform(-1.2, 1.2, (64, *net.input_shape[1:])).astype(np.float32)))
            if name == "features":
                x = np.asarray(first(x * 20))
            # The straight-through estimator leaves float noise on values beyond the grid's ends.
            x = np.round(x * 2.0**12) / 2.0**12
            if name in ZOO_MODELS:
                measure(net, x)
        net.save(folder / f"{name}{'.keras' if number % 2 else '.h5'}")
        kept = [layer for layer in net.layers if not isinstance(layer, (layers.InputLayer, Model))]
        whole = Model(net.inputs, [layer.output for layer in kept])
        # TensorFlow fuses convolution and bias in a compiled graph, and then knows no groups.
        whole.compile(run_eagerly=name == "grouped")
        values = whole.predict(x.astype(np.float32), verbose=0)
        named = {layer.name: value for layer, value in zip(kept, values, strict=True)}
        # What a softmax or sigmoid reads: the host computes it.
        last = getattr(getattr(kept[-1], "activation", None), "__name__", "")
        ends = last in ("softmax", "sigmoid") or isinstance(kept[-1], layers.Softmax)
        output = values[-2] if ends else whole_output(net, x, eager=name == "grouped")
        np.savez(folder / f"{name}.npz", x=x, output=output, **named)
    for make in (*PORTS_MODELS, *ENCODER_MODELS):
        tf_keras.utils.set_random_seed(0)
        net = make()
        rng = np.random.default_rng(0)
        settle(net, rng)
        if make in ENCODER_MODELS:
            measure_shifts(net, rng.integers(0, 256, (64, *net.input_shape[1:])).astype(np.float32) / 256)
        net.save(folder / f"{make.__name__}.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
