"""Makes small Keras 3 and HGQ2 models with inputs and what Keras computes: `python keras_v3_models.py FOLDER`.

A program of its own, because HGQ2 must not meet QKeras. Each model `m` becomes `m.keras` or `m.h5`, and `m.npz`: inputs
`x`, `output`, and by name what `predict` gives after each layer (`layer`) and each input quantizer (`layer/iq`).
"""

import sys
from pathlib import Path

import keras
import numpy as np
from hgq.config import QuantizerConfig
from hgq.layers import (
    QAdd,
    QAffinedUnaryFunctionLUT,
    QAveragePooling1D,
    QAveragePooling2D,
    QAveragePow2,
    QBatchNormalization,
    QBatchNormDense,
    QConv1D,
    QConv2D,
    QConv3D,
    QDense,
    QGlobalAveragePooling1D,
    QGlobalAveragePooling2D,
    QGlobalAveragePooling3D,
    QGlobalMaxPooling1D,
    QMaxPooling1D,
    QMaxPooling2D,
    QMaxPooling3D,
    QSubtract,
    Quantizer,
    QUnaryFunctionLUT,
)
from keras import Model, Sequential, layers

MODELS = {}


def model(make):
    MODELS[make.__name__] = make
    return make


def lane(k=0, i=1, f=2, axes=(), overflow="SAT", rounding="RND_CONV", **options):
    """Activations: one type for all, or with axes=(-1,) one a channel."""
    options |= {"overflow_mode": overflow, "round_mode": rounding, "homogeneous_axis": None, "heterogeneous_axis": axes}
    return QuantizerConfig("kif", "datalane", k0=k, i0=i, f0=f, **options)


def weights(b=3, i=0, **options):
    return QuantizerConfig("kbi", "weight", k0=1, b0=b, i0=i, **options)


def confs(iq=None, **options):
    """Quantizers of a layer: signed 4-bit weights, small biases."""
    bias = QuantizerConfig("kif", "bias", k0=1, i0=1, f0=4, overflow_mode="SAT")
    return {"iq_conf": iq or lane(), "kq_conf": weights(), "bq_conf": bias, "bias_initializer": "normal"} | options


PIXELS = lane(1, 0, 7)
EACH = lane(1, 1, 3, (-1,))


def chain(shape, *parts):
    x = image = keras.Input(shape, name="image")
    for part in parts:
        x = part(x)
    return Model(image, x)


@model
def channels():
    """One type a channel, some of no bits at all; groups, strides, asymmetrical padding; a softmax at the end."""
    return chain(
        (7, 6, 3),
        QConv2D(8, 3, strides=2, padding="same", activation="relu", name="a", **confs(PIXELS)),
        QConv2D(12, 2, groups=4, padding="same", name="b", **confs(lane(0, 0, 3, (-1,)))),
        QMaxPooling2D(2, strides=1, name="c", iq_conf=EACH),
        layers.Flatten(),
        QDense(5, name="d", activation="softmax", **confs(lane(1, 1, 4, (-1,)))),
    )


@model
def residual():
    """Joins with a quantizer on each side, output quantizers, a batch norm with quantized parameters, a step of 3/32."""
    one = {"homogeneous_axis": None, "heterogeneous_axis": ()}
    scaled = QuantizerConfig("kbi", "datalane", k0=1, b0=4, i0=1, overflow_mode="SAT_SYM", scaler=0.75, **one)
    image = keras.Input((8, 8, 2), name="image")
    x = QConv2D(6, 3, padding="same", name="a", enable_oq=True, oq_conf=lane(1, 1, 3), **confs(PIXELS))(image)
    x = QBatchNormalization(iq_conf=lane(1, 1, 3), kq_conf=weights(6, 1), bq_conf=weights(6, 1), name="b")(x)
    y = QConv2D(6, 1, name="c", **confs(lane(1, 2, 3)))(x)
    x = QAdd(name="d", iq_confs=[lane(1, 2, 2), lane(1, 1, 4, (-1,))])([x, y])
    z = QConv2D(6, 1, name="e", use_bias=False, iq_conf=EACH, kq_conf=weights(5, 1, overflow_mode="WRAP"))(x)
    x = QAveragePow2(name="f", iq_confs=lane(1, 2, 2))([x, z])
    x = layers.Concatenate(name="both")([Quantizer(EACH, name="g")(x), Quantizer(scaled, name="h")(z)])
    return Model(image, QGlobalAveragePooling2D(name="i", iq_conf=lane(1, 1, 3))(x))


@model
def plain():
    """Plain layers whose weights lie on a grid, float batch norms between HGQ2's quantizers."""
    return chain(
        (8, 8, 2),
        Quantizer(PIXELS, name="a"),
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        Quantizer(lane(0, 2, 3), name="b"),
        layers.DepthwiseConv2D(2, padding="same", depth_multiplier=2),
        layers.BatchNormalization(scale=False),
        Quantizer(lane(1, 2, 3, rounding="RND"), name="c"),
        layers.SeparableConv2D(6, 2),
        layers.ReLU(max_value=2.0),
        Quantizer(lane(0, 1, 4, rounding="TRN"), name="d"),
        layers.AveragePooling2D(3, strides=1),
        Quantizer(lane(0, 1, 4), name="e"),
        layers.Dropout(0.5),
        layers.Dense(5, activation="linear"),
        layers.BatchNormalization(center=False),
        Quantizer(lane(1, 3, 2, overflow="SAT_SYM"), name="f"),
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.Reshape((5,)),
        layers.Dense(3),
    )


@model
def features():
    """Vectors with one type a feature, the input among them; batch norm in the kernel; lookup tables."""
    return chain(
        (16,),
        QBatchNormDense(12, name="a", **confs(lane(1, 2, 4, (-1,)))),
        QUnaryFunctionLUT("tanh", name="b", iq_conf=lane(1, 2, 4), oq_conf=lane(1, 0, 4)),
        QDense(6, name="c", **confs(lane(1, 0, 4))),
        QAffinedUnaryFunctionLUT("sigmoid", name="e", iq_conf=lane(1, 2, 4), oq_conf=lane(0, 0, 5)),
        QDense(5, name="d", **confs(lane(0, 0, 5))),
    )


@model
def wraps():
    """HGQ2's own defaults: types that wrap around, with bits enough that they never do."""
    unsigned, signed = lane(0, 5, 3, overflow="WRAP", rounding="RND"), lane(1, 4, 3, overflow="WRAP")
    return chain(
        (6, 6, 2),
        QConv2D(4, 3, activation="relu", name="a", **confs(lane(1, 0, 3, overflow="WRAP"))),
        QAveragePooling2D(2, name="b", iq_conf=unsigned),
        QConv2D(3, 1, name="c", **confs(lane(0, 5, 3, (-1,), "WRAP"))),
        Quantizer(signed, name="d"),
    )


@model
def nested():
    """A model inside a model, used twice; a sequential one; zeros around maps before a quantizer."""
    inside = keras.Input((6, 6, 4), name="image")
    y = QConv2D(4, 3, name="a", **confs())(layers.ZeroPadding2D(1)(inside))
    block = Model(inside, QAdd(name="b", iq_confs=lane(1, 1, 2))([y, inside]), name="block")
    image = keras.Input((6, 6, 4), name="image")
    x = block(block(Quantizer(lane(0, 0, 4), name="grid")(image)))
    head = Sequential([keras.Input((6, 6, 4)), layers.Flatten(), QDense(3, name="c", **confs(EACH))], name="head")
    return Model(image, head(x))


@model
def digits():
    """Trained on the digits, bit widths among the trained; a model inside."""
    from sklearn.datasets import load_digits

    net = chain(
        (8, 8, 1),
        QConv2D(8, 3, name="a", activation="relu", **confs(lane(0, 1, 4))),
        QMaxPooling2D(2, name="b", iq_conf=lane(0, 2, 3, (-1,))),
        Sequential([keras.Input((3, 3, 8)), layers.Flatten(), QDense(10, name="c", **confs(EACH))], name="head"),
    )
    data = load_digits()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    net.fit(data.images[:1500, ..., None] / 16, data.target[:1500], batch_size=100, epochs=3, verbose=0)
    return net


def fusion():
    """One-dimensional maps, zeros around them, every pool; a vector beside them; two heads, one with a softmax."""
    signal, features = keras.Input((16, 2), name="signal"), keras.Input((5,), name="features")
    x = QConv1D(6, 3, padding="same", activation="relu", name="a", **confs(PIXELS))(signal)
    x = QMaxPooling1D(2, name="b", iq_conf=lane(0, 2, 3, (-1,)), enable_oq=True, oq_conf=lane(0, 1, 4))(x)
    x = QConv1D(8, 3, padding="causal", dilation_rate=2, name="c", **confs(lane(0, 1, 3)))(x)
    x = QConv1D(8, 2, groups=4, name="d", **confs(lane(1, 1, 3)))(layers.ZeroPadding1D((1, 0))(x))
    x = layers.DepthwiseConv1D(2, strides=2, name="e")(QAveragePooling1D(3, strides=1, name="f", iq_conf=EACH)(x))
    x = Quantizer(lane(1, 2, 3), name="g")(x)
    pools = [
        QGlobalMaxPooling1D(name="h", enable_iq=False)(x),
        QGlobalAveragePooling1D(name="i", iq_conf=lane(1, 2, 3))(x),
    ]
    y = QDense(6, name="j", **confs(PIXELS))(features)
    both = layers.Concatenate(name="both")([Quantizer(EACH, name=f"k{n}")(part) for n, part in enumerate([*pools, y])])
    heads = [QDense(3, name="l", **confs(lane(1, 1, 3)))(both), QDense(4, name="m", **confs(lane(1, 1, 3)))(both)]
    return Model([features, signal], [layers.Softmax(name="n")(heads[0]), heads[1]])


@model
def lone():
    """What has no description, each on its own branch."""
    image = keras.Input((4, 4, 2), name="image")
    x = Quantizer(PIXELS, name="grid")(image)
    branches = [
        QConv2D(2, 1, name="pixelwise", **confs(lane(axes=(1, 2, 3))))(x),
        Quantizer(lane(1, -1, 4, overflow="WRAP"), name="wraps")(x),
        Quantizer(lane(1, 2, 14), name="wide")(x),
        QSubtract(name="difference", iq_confs=lane())([x, x]),
        layers.Activation("squareplus", name="other")(x),
        layers.AveragePooling2D(2, strides=1, padding="same", name="edges")(x),
        QUnaryFunctionLUT("silu", name="falls", oq_conf=lane(1, 1, 4), iq_conf=lane(1))(x),
        QUnaryFunctionLUT("tanh", name="no_grid", enable_oq=False, iq_conf=lane(1))(x),
        layers.Dropout(0.5, name="trains")(x, training=True),
        layers.Conv2D(2, 1, dtype="float16", name="half")(x),
        layers.UpSampling2D(1, interpolation="bilinear", name="larger")(x),
        keras.ops.add(x, 1.0),
    ]
    return Model(image, layers.Concatenate(name="all")(branches))


@model
def resized():
    """Maps that grow, shrink and are padded."""
    return chain(
        (7, 7, 3),
        Quantizer(PIXELS, name="a"),
        layers.ZeroPadding2D(((1, 0), (2, 1))),
        layers.MaxPooling2D(2, strides=1, name="pooled"),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.25),
        Quantizer(lane(1, 2, 3), name="b"),
        layers.AveragePooling2D(3, strides=1, padding="same"),
        Quantizer(lane(1, 1, 4), name="c"),
        layers.UpSampling2D((2, 1), name="larger"),
        layers.Cropping2D(((1, 0), (0, 1)), name="cropped"),
        QConv2D(6, 3, padding="same", name="d", **confs(lane(1, 1, 4))),
        Quantizer(lane(1, 2, 3), name="e"),
        layers.ZeroPadding2D(1),
        layers.Conv2D(3, 3, strides=4, padding="same"),
        layers.Flatten(),
        layers.Dense(3),
    )


@model
def volume():
    """Convolutions and pools over three axes."""
    return chain(
        (6, 5, 5, 2),
        QConv3D(4, 2, padding="same", name="a", activation="relu", **confs(PIXELS)),
        QMaxPooling3D(2, name="b", iq_conf=lane(0, 2, 2)),
        QConv3D(6, (2, 1, 2), strides=(1, 2, 1), groups=2, name="c", **confs(lane(0, 1, 3, (-1,)))),
        QGlobalAveragePooling3D(name="d", iq_conf=lane(1, 2, 3)),
        QDense(3, name="e", **confs(lane(1, 1, 4))),
    )


def settle(layer, rng):
    """Types that differ from channel to channel; statistics as after a training; weights of float layers on a grid."""
    if isinstance(layer, Model):
        for inner in layer.layers:
            settle(inner, rng)
        return
    for variable in layer.weights:
        if variable.name == "f" and variable.shape and max(variable.shape) > 1 and "iq" in variable.path:
            variable.assign(keras.ops.convert_to_numpy(variable) + rng.integers(-3, 1, variable.shape))
        elif "variance" in variable.name or "gamma" in variable.name:
            variable.assign(rng.uniform(0.3, 2.0, variable.shape))
        elif ("beta" in variable.name and variable.shape) or "moving_mean" in variable.name:
            variable.assign(rng.uniform(-0.5, 0.5, variable.shape))
        elif type(layer).__module__.startswith("keras"):
            variable.assign(rng.integers(-3, 4, variable.shape) / 4)


def named_tensors(net):
    """What Keras itself has after each layer and each input quantizer."""
    found = {}
    for layer in net.layers:
        if isinstance(layer, (layers.InputLayer, Model)):
            continue
        found[layer.name] = layer.output
        if getattr(layer, "enable_iq", False):
            single = isinstance(layer.iq, Quantizer)
            pairs = [(layer.iq, layer.input)] if single else zip(layer.iq, layer.input, strict=True)
            for number, (quantizer, tensor) in enumerate(pairs):
                found[f"{layer.name}/iq{f'_{number + 1}' * bool(number)}"] = quantizer(tensor)
    return found


def main(folder):
    keras.utils.set_random_seed(0)
    net = fusion()
    settle(net, np.random.default_rng(0))
    net.save(folder / "fusion.keras")
    for number, (name, make) in enumerate(MODELS.items()):
        keras.utils.set_random_seed(number)
        rng = np.random.default_rng(number)
        net = make()
        x = rng.integers(-128, 128, (40, *net.input_shape[1:])) / 128
        if name == "digits":
            from sklearn.datasets import load_digits

            x = load_digits().images[1500:1550, ..., None] / 16
        else:
            settle(net, rng)
        scale = {"features": (4, 1 / 16), "wraps": (1, 1 / 8), "nested": (1, 1 / 16)}.get(name, (1, 1 / 128))
        x = np.rint(x * scale[0] / scale[1]) * scale[1]
        x = np.clip(x, 0, 15 / 16) if name == "nested" else np.clip(x, -scale[0], scale[0] - scale[1])
        x = x.astype(np.float32)
        if name == "digits":  # the input's bit widths are trained, too
            x = keras.ops.convert_to_numpy(net.get_layer("a").iq(x))
        net.save(folder / f"{name}{'.keras' if number % 2 else '.h5'}")
        if name == "lone":
            continue
        found = named_tensors(net)
        values = Model(net.inputs, list(found.values())).predict(x, verbose=0)
        named = dict(zip(found, values if len(found) > 1 else [values], strict=True))
        output = net.predict(x, verbose=0)
        np.savez(folder / f"{name}.npz", x=x, output=output, **named)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
