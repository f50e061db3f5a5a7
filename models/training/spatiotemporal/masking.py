"""Inputs hidden at random in training, so that a mask is nothing new when serving (TensorFlow)."""

from typing import Any

from models.training.base_loop import shown_references


def hide(samples: Any, masked_columns: Any, rate: float, seed: Any) -> Any:
    """Hide symbols and references.

    A symbol is hidden with its mask, as when it has no window. A reference is hidden from all symbols at once, see
    `trainer.shown_references`; its own mask is one of its columns.

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
    shown = shown_references(masked_columns, dates, lookback, rate, seed + 1)[:, :, None, :, None]
    return tf.concat([samples[..., :1] * shown, samples[..., 1:]], axis=-1)
