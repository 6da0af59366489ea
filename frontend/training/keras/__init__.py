"""The networks in Keras 2: layers, zoo, trainer."""
