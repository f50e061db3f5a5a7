"""The matrix product of every NumPy forward pass: each row's result is independent of the other rows."""

import numpy as np

from models.preprocessing.windows import Float32Array


def row_product(rows: Float32Array, kernel: Float32Array) -> Float32Array:
    """Multiply each row by a kernel, with bits that depend on that row and the kernel alone.

    The plain `rows @ kernel` is one product of two matrices, and BLAS chooses its order of summation by the number
    of rows and by a row's position among them: the same symbol then has other last bits alone than among 500. Padding
    to blocks of one size does not help, since the position still counts. Here each row is a product of its own, a
    vector with a matrix, whose order of summation depends on the kernel's shape alone. Both arrays are made
    contiguous first, since BLAS takes another way through other memory layouts.

    Args:
        rows: `(..., inputs)`; leading axes of any number and length.
        kernel: `(inputs, outputs)`.

    Returns:
        `(..., outputs)`; equal bits for equal rows on one machine. Another processor may sum in another order.

    Raises:
        ValueError: The row length is not the kernel's number of inputs.
    """
    vectors = np.ascontiguousarray(rows)[..., None, :]
    products: Float32Array = np.matmul(vectors, np.ascontiguousarray(kernel))[..., 0, :]
    return products
