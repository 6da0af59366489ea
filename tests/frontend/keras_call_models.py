"""Makes models whose layers are called in every way, in the Keras that is installed: `python keras_call_models.py FOLDER 2`.

A program of its own, for Keras 2 or 3. Each model becomes `NAME.h5` and `NAME.keras`.
"""

import sys
from pathlib import Path

if sys.argv[2] == "2":
    import tf_keras

    sys.modules["keras"] = tf_keras

from keras import Input, Model, Sequential, layers


def shared():
    """A layer that is called three times, on its own output too."""
    x, y, same = Input((4,)), Input((4,)), layers.Dense(4)
    return Model([x, y], layers.Add()([same(same(x)), same(y)]))


def inner():
    x = Input((4,))
    return Model(x, layers.Dense(4)(x))


def nested():
    """A model that is called twice, within one that is called twice and called outside of both before."""
    part = inner()
    part(Input((4,)))
    x = Input((4,))
    middle = Model(x, layers.Add()([part(part(x)), x]))
    x = Input((4,))
    return Model(x, middle(layers.Dense(4)(middle(x))))


def sequences():
    """Sequential in Functional in Sequential."""
    part, x = Sequential([layers.Dense(4), layers.ReLU()]), Input((4,))
    return Sequential([Input((4,)), Model(x, layers.Add()([part(x), part(part(x))])), layers.Dense(2)])


def several():
    """A model of two inputs and outputs, called by a list; one of its inputs is an output of the whole."""
    x, y = Input((4,)), Input((4,))
    both = layers.Add()([x, y])
    part = Model([x, y], [layers.ReLU()(both), both])
    x, y = Input((4,)), Input((4,))
    first, second = part([y, x])
    return Model([y, x], [part([second, first])[0], first, y])


def keywords():
    """Tensors by name, of a layer and of one that is called again."""
    x, y = Input((3, 4)), Input((5, 4))
    attention = layers.MultiHeadAttention(2, 4)
    z = attention(x, value=y, key=layers.Dense(4)(y))
    return Model([x, y], attention(z, key=z, value=z))


for make in (shared, nested, sequences, several, keywords):
    for suffix in (".h5", ".keras"):
        make().save(Path(sys.argv[1]) / f"{make.__name__}{suffix}")
