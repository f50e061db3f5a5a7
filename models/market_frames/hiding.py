"""Inputs hidden at random in training, so that a mask is nothing new when serving (TensorFlow)."""

from typing import Any


def hide(samples: Any, masked_columns: Any, rate: float, seed: Any) -> Any:
    """Hide symbols and references.

    A symbol is hidden with its mask, as when it has no window. Half of the masks of a reference hide it from all
    symbols in the whole window, as when a series is absent; the other half only in the newest session, as when
    a bar is late. Its own mask is one of its columns.

    Args:
        samples: Tensor `(dates, lookback, rows, features, 2)`.
        masked_columns: Tensor `(references, features)`, 1 where a reference's mask zeroes the column, else 0.
        rate: Chance of each symbol and of each reference, 0..1.
        seed: Tensor `(2,)` int64; equal seeds hide the same.

    Returns:
        Tensor like `samples`.
    """
    import tensorflow as tf

    dates, lookback, rows = tf.shape(samples)[0], samples.shape[1], samples.shape[2]
    kept = tf.random.stateless_uniform((dates, rows), seed) >= rate
    samples *= tf.cast(kept, tf.float32)[:, None, :, None, None]
    if not masked_columns.shape[0]:
        return samples
    draw = tf.random.stateless_uniform((dates, masked_columns.shape[0]), seed + 1)
    whole, newest = (tf.cast(draw < limit, tf.float32) @ masked_columns for limit in (rate / 2, rate))
    hidden = tf.concat([tf.repeat(whole[:, None], lookback - 1, axis=1), newest[:, None]], axis=1)
    shown = tf.cast(hidden < 0.5, tf.float32)[:, :, None, :, None]
    return tf.concat([samples[..., :1] * shown, samples[..., 1:]], axis=-1)
