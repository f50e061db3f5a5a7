"""Random masks of inputs in training, so that the network is trained on masked inputs too (TensorFlow)."""

from typing import Any

from models.training.base_loop import reference_masks


def mask_inputs(samples: Any, masked_columns: Any, rate: float, seed: Any) -> Any:
    """Hide symbols and references at random.

    A symbol is hidden with its mask, as one without a window. A reference is hidden from all symbols together, see
    `base_loop.reference_masks`; its own mask is one of its columns.

    Args:
        samples: Tensor `(dates, lookback, rows, features, 2)`.
        masked_columns: Tensor `(references, features)`, 1 where the mask of a reference zeroes the column, else 0.
        rate: Probability of each symbol and of each reference, 0..1.
        seed: Tensor `(2,)` int64; equal seeds hide the same inputs.

    Returns:
        Tensor in the shape of `samples`.
    """
    import tensorflow as tf

    dates, lookback, rows = tf.shape(samples)[0], samples.shape[1], samples.shape[2]
    kept = tf.random.stateless_uniform((dates, rows), seed) >= rate
    samples *= tf.cast(kept, tf.float32)[:, None, :, None, None]
    if not masked_columns.shape[0]:
        return samples
    masks = reference_masks(masked_columns, dates, lookback, rate, seed + 1)[:, :, None, :, None]
    return tf.concat([samples[..., :1] * masks, samples[..., 1:]], axis=-1)
