"""The matrix product of all NumPy forward passes: the result of a row is independent of the other rows."""

import numpy as np

from models.preprocessing.windows import Float32Array


def row_product(rows: Float32Array, kernel: Float32Array) -> Float32Array:
    """Multiply each row by a kernel, with bits that depend only on that row and the kernel.

    The plain `rows @ kernel` is one product of two matrices, and BLAS chooses its order of summation by the number
    of rows and by a row's position among them: the last bits of a symbol alone then differ from those among 500.
    Padding to blocks of one size does not help, since the position still matters. Here each row is a separate product
    of a vector with a matrix, whose order of summation depends only on the kernel's shape. Both arrays are made
    contiguous first, since BLAS uses another order for other memory layouts.

    Args:
        rows: `(..., inputs)`; leading axes of any number and length.
        kernel: `(inputs, outputs)`.

    Returns:
        `(..., outputs)`; equal bits for equal rows on one machine. Another processor may sum in another order.

    Raises:
        ValueError: The length of a row differs from the kernel's number of inputs.
    """
    vectors = np.ascontiguousarray(rows)[..., None, :]
    products: Float32Array = np.matmul(vectors, np.ascontiguousarray(kernel))[..., 0, :]
    return products
