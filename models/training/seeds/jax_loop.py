"""Train the seeds of one network epoch by epoch, an epoch in one compiled call (JAX).

The inputs stay on the device as one `(rows, features)` array and each step gathers its windows by index. Several seeds
can be trained as one batched network, which fills a GPU that one small network leaves idle. The numbers of rows,
windows and steps are rounded up, so that a week more of data does not compile again.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.config import MEDIAN, QUANTILES, ModelConfig
from models.networks.lstm_numpy import Weights
from models.training.window_loop import (
    EVALUATION_BATCH,
    Windows,
    WindowTrainer,
    epoch_order,
    kept_loop,
    target_medians,
    window_weights,
)

SMALLEST_EVALUATION = 256
"""Lower bound of the windows in a batch of an evaluation; a smaller set is filled up with windows of weight 0."""


class _Data(NamedTuple):
    """Windows on the device: inputs `(rows, features)`; ends, weights and targets of the windows; medians."""

    inputs: Any
    ends: Any
    targets: Any
    weights: Any
    medians: Any


class JaxLoop(WindowTrainer):
    """Trains the network of a config on one set of windows, `width` seeds at a time."""

    def __init__(
        self, config: ModelConfig, train_windows: Windows, masked_columns: NDArray[np.float32], width: int = 1
    ) -> None:
        """Build the network and load the windows.

        Args:
            config: Network, sizes and rates.
            train_windows: Windows to train on; all targets finite.
            masked_columns: `(references, features)`, 1 where the mask of a reference zeroes the column, else 0.
            width: Seeds that are trained as one batched network.

        Raises:
            TooLittleHistory: There is no window to train on.
            UnknownNetwork: The network of the config is not registered.
        """
        import jax

        super().__init__(config, train_windows)
        self._width = width
        self._mask = np.asarray(masked_columns, np.float32)
        self._rate_place = [v is self._optimizer.learning_rate for v in self._optimizer.variables].index(True)
        self._constant = [v.value for v in self._model.non_trainable_variables]
        self._epoch = jax.jit(self._run_epoch, donate_argnums=(0,))
        self._evaluate = jax.jit(self._batch_loss)
        self.load(train_windows)
        self.restart_all(config.seeds[:1] * width)

    def load(self, train_windows: Windows) -> None:
        """Replace the windows to train on by others with the same batch size, columns and lookback."""
        self._medians = target_medians(train_windows)
        self._count = len(train_windows)
        self._train = self._placed(train_windows, rounded_up(self._count))

    @property
    def medians(self) -> NDArray[np.float32]:
        """Median of the training targets, `(horizon,)`: the starting point of a forecast's median."""
        return self._medians

    def restart(self, seed: int, start: Weights | None = None) -> None:
        """Restart all networks for one seed, see `Trainer.restart`."""
        self.restart_all((seed,) * self._width, {} if start is None else {seed: start})

    def restart_all(self, seeds: Sequence[int], start: Mapping[int, Weights] | None = None) -> None:
        """Restart for `width` seeds: starting weights, an empty optimiser, the config's learning rate.

        Args:
            seeds: As many seeds as the loop has networks.
            start: Arrays to start from, by seed; a seed without one starts from its own initial weights.

        Raises:
            ArtifactError: The arrays are not those of this network.
        """
        import jax.numpy as jnp

        self._seeds = tuple(seeds)
        states = []
        for seed in self._seeds:
            super().restart(seed, (start or {}).get(seed))
            variables = (self._model.trainable_variables, self._optimizer.variables)
            states.append(tuple([np.array(v.value) for v in group] for group in variables))
        self._state = tuple(
            [jnp.array(arrays[0] if self._width == 1 else np.stack(arrays)) for arrays in zip(*group, strict=True)]
            for group in zip(*states, strict=True)
        )

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of all networks."""
        super().set_rate(rate)
        if hasattr(self, "_state"):
            self.set_rates((rate,) * self._width)

    def set_rates(self, rates: Sequence[float]) -> None:
        """Set the learning rate of each network."""
        import jax.numpy as jnp

        value = jnp.asarray(rates[0] if self._width == 1 else np.asarray(rates), jnp.float32)
        self._state[1][self._rate_place] = value

    def epoch(self, seed: int, number: int) -> float:
        """Train once over all windows, in an order drawn from seed and epoch; return the mean training loss."""
        self._seeds = (seed,) * self._width
        return float(self.epoch_all(number)[0])

    def epoch_all(self, number: int) -> NDArray[np.float64]:
        """Train every network once over all windows, each in its own seed's order.

        Returns:
            The mean training loss of each network.
        """
        orders = [epoch_order(seed, number, self._count, self._batch) for seed in self._seeds]
        steps = len(orders[0])
        order = np.zeros((rounded_up(steps), self._width, self._batch), np.int32)
        order[:steps] = np.stack(orders, axis=1)
        draws = np.array([[seed, number] for seed in self._seeds], np.int32)
        if self._width == 1:
            order, draws = order[:, 0], draws[0]
        self._state, total = self._epoch(self._state, self._train, order, draws, np.int32(steps))
        return np.atleast_1d(np.asarray(total, np.float64)) / steps

    def loss_on(self, windows: Windows) -> Callable[[], float]:
        """Load a second set of windows and return a function that computes the first network's mean loss on it."""
        losses = self.losses_on(windows)
        return lambda: float(losses()[0])

    def losses_on(self, windows: Windows) -> Callable[[], NDArray[np.float64]]:
        """Load a second set of windows and return a function that computes each network's mean loss on it."""
        count = len(windows)
        size = EVALUATION_BATCH
        while size > SMALLEST_EVALUATION and size >= 2 * count:
            size //= 2
        placed = self._placed(windows, -(-max(count, 1) // size) * size)

        def losses() -> NDArray[np.float64]:
            total = np.zeros(self._width)
            for start in range(0, len(placed.ends), size):
                cut = slice(start, start + size)
                batch = (placed.ends[cut], placed.targets[cut], placed.weights[cut])
                total += np.atleast_1d(np.asarray(self._evaluate(self._state[0], placed.inputs, self._medians, *batch)))
            return total * size / max(count, 1)

        return losses

    def weights(self) -> Weights:
        """Return a copy of the current weights of the first network by name."""
        return self.weights_of(0)

    def weights_of(self, position: int) -> Weights:
        """Return a copy of the current weights of one network by name."""
        for variable, array in zip(self._model.trainable_variables, self._state[0], strict=True):
            variable.assign(np.array(array if self._width == 1 else array[position]))
        return self._model_arrays()

    def _model_arrays(self) -> Weights:
        return self._network.weights(self._model)

    def _placed(self, windows: Windows, size: int) -> _Data:
        """Return windows on the device, filled up to `size` with windows of weight 0."""
        import jax.numpy as jnp

        if windows.inputs is not self._inputs[0]:  # training and validation windows share one array
            rows = rounded_up(len(windows.inputs)) - len(windows.inputs)
            self._inputs = (windows.inputs, jnp.asarray(np.pad(windows.inputs, ((0, rows), (0, 0)))))
        more = size - len(windows)
        ends = np.pad(windows.ends, (0, more), constant_values=self._model_config.lookback - 1).astype(np.int32)
        targets = np.pad(windows.targets.astype(np.float32), ((0, more), (0, 0)))
        weights = np.pad(window_weights(windows, self._model_config), (0, more))
        return _Data(self._inputs[1], *(jnp.asarray(array) for array in (ends, targets, weights, self._medians)))

    def _gather(self, inputs: Any, ends: Any) -> Any:
        import jax.numpy as jnp

        offsets = jnp.arange(self._model_config.lookback - 1, -1, -1)
        gathered = inputs.at[ends[:, None] - offsets[None, :]].get(mode="promise_in_bounds")
        return gathered if self._visibility is None else gathered * self._visibility

    def _loss(self, trained: Any, windows: Any, targets: Any, weights: Any, medians: Any) -> Any:
        """Return the pinball loss of one network, weighted mean over windows; see `CompiledLoop`."""
        import jax.numpy as jnp

        quantiles, _ = self._model.stateless_call(trained, self._constant, windows)
        share = self._model_config.median_share
        if share != 1:
            quantiles -= (1 - share) * (quantiles[:, :, MEDIAN : MEDIAN + 1] - medians[:, None])
        levels = jnp.asarray(QUANTILES, jnp.float32)
        errors = targets[..., None] - quantiles
        losses = jnp.maximum(levels * errors, (levels - 1.0) * errors).mean(axis=(-2, -1))
        return (losses * weights).mean()

    def _batch_loss(self, trained: Any, inputs: Any, medians: Any, ends: Any, targets: Any, weights: Any) -> Any:
        import jax

        windows = self._gather(inputs, ends)

        def loss(own: Any) -> Any:
            return self._loss(own, windows, targets, weights, medians)

        return loss(trained) if self._width == 1 else jax.vmap(loss)(trained)

    def _run_step(self, data: _Data, step: Any, state: Any, batch: Any, draw: Any) -> Any:
        """Train one network on one batch; return its state and its loss."""
        import jax

        windows = self._gather(data.inputs, data.ends[batch])
        if len(self._mask):
            windows *= self._random_mask(step, draw)
        loss, gradient = jax.value_and_grad(self._loss)(
            state[0], windows, data.targets[batch], data.weights[batch], data.medians
        )
        trained, optimizer = self._optimizer.stateless_apply(state[1], gradient, state[0])
        return (list(trained), list(optimizer)), loss

    def _random_mask(self, step: Any, draw: Any) -> Any:
        """Return random masks of references; see `base_loop.reference_masks`."""
        import jax
        import jax.numpy as jnp

        key = jax.random.key(0)
        for number in (draw[0], draw[1], step):
            key = jax.random.fold_in(key, number)
        config = self._model_config
        uniform = jax.random.uniform(key, (self._batch, len(self._mask)))
        whole, newest = ((uniform < rate) @ self._mask < 0.5 for rate in (config.mask_rate / 2, config.mask_rate))
        older = jnp.repeat(whole[:, None], config.lookback - 1, axis=1)
        return jnp.concatenate([older, newest[:, None]], axis=1).astype(jnp.float32)

    def _run_epoch(self, state: Any, data: _Data, order: Any, draws: Any, steps: Any) -> Any:
        import jax
        import jax.numpy as jnp

        def step(number: Any, carried: Any) -> Any:
            state, total = carried
            one = partial(self._run_step, data, number)
            state, loss = (one if self._width == 1 else jax.vmap(one))(state, order[number], draws)
            return state, total + loss

        nothing = jnp.zeros(() if self._width == 1 else (self._width,))
        return jax.lax.fori_loop(0, steps, step, (state, nothing))


def rounded_up(count: int) -> int:
    """Return the next number with at most four leading binary digits other than 0: 12.5 % more at most."""
    unit = 1 << max(count.bit_length() - 4, 0)
    return -(-count // unit) * unit


def jax_loop(config: ModelConfig, train_windows: Windows, masked_columns: NDArray[np.float32], width: int) -> JaxLoop:
    """Return a loop with these windows, see `kept_loop`.

    Args:
        config: See `JaxLoop`.
        train_windows: See `JaxLoop`.
        masked_columns: See `JaxLoop`.
        width: See `JaxLoop`.

    Raises:
        TooLittleHistory: There is no window to train on.
        UnknownNetwork: The network of the config is not registered.
    """
    build = partial(JaxLoop, config, train_windows, masked_columns, width)
    return kept_loop(("jax", width), build, config, train_windows, masked_columns)
