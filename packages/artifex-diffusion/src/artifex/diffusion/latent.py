r"""Latent diffusion: a diffusion model of what an autoencoder makes of examples.

Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models" (arXiv:2112.10752), section 3.2, app. G:

    z = s (encode(x) - m),   m and 1 / s mean and standard deviation of all elements of a batch's latents
    loss of any diffusion model, on z;   x = decode(z / s + m)

The autoencoder is any registered model that encodes and decodes. It is trained before and frozen: nothing here descends it.
``m`` and ``s`` are measured from the first batch of the training data, and saved with the model.

Shapes: ``B = batch, ... = one example, *Z = one latent``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from artifex.core.compilation import draw_key
from artifex.core.config import Config, Registered, config
from artifex.core.errors import InvalidInputError, InvalidTypeError, RunError
from artifex.core.factory import create_model
from artifex.core.frozen import Frozen, freeze
from artifex.core.protocols import Batch, DeclaresValues, Decodes, Encodes
from artifex.core.storage import WEIGHTS_FILE, read_weights, set_weights
from artifex.core.value_ranges import ValueRange
from artifex.diffusion.checks import check_config
from artifex.diffusion.conditions import Condition
from artifex.diffusion.diffusion import Diffusion, DiffusionConfig, Shape
from artifex.diffusion.parameterizations import ParameterizationField, VConfig
from artifex.diffusion.samplers import Denoiser
from artifex.diffusion.sampling import DPMSolverSamplerConfig, SamplerConfig, SamplerField

__all__ = ["LatentDiffusionConfig", "LatentDiffusionModel"]


@config
class LatentDiffusionConfig(DiffusionConfig):
    """A diffusion model of latents, and the autoencoder that they are of.

    ``clip_x0`` bounds latents, in units of their standard deviation.
    """

    autoencoder: Annotated[Config, Registered("model")]
    """The config of any model that encodes and decodes, with its `kind`."""
    latent_shape: Shape
    """Shape of one latent: `(latents,)`, or `(height, width, channels)`."""
    pretrained: Path | None = None
    """Folder of the trained autoencoder (`RUN/model`), whose weights are read when training begins; None where they are set
    by :meth:`LatentDiffusionModel.load_autoencoder`. A model that is loaded brings them with it."""
    parameterization: ParameterizationField = VConfig()
    """What the network predicts: `epsilon`, `x0`, `v`, `velocity`, `edm`, or a dict of its `kind` and fields."""
    sampler: SamplerField = DPMSolverSamplerConfig(steps=25)
    """How samples are drawn: `ddpm`, `ddim`, `euler`, `heun`, `dpm_solver_pp_2m`, `edm`, `probability_flow`, or a dict."""

    @property
    def network_shape(self) -> tuple[int, ...]:
        """Shape of what is noised."""
        return self.latent_shape


class LatentDiffusionModel(Diffusion):
    """A diffusion model of latents.

    Args:
        config: of the model.
        rngs: random streams.

    Raises:
        InvalidTypeError: the config is another model's, or the autoencoder does not encode and decode.
        InvalidInputError: its latents have another shape.
    """

    config: LatentDiffusionConfig

    def __init__(self, config: LatentDiffusionConfig, *, rngs: nnx.Rngs):
        check_config(self, config, LatentDiffusionConfig)
        super().__init__(config, rngs=rngs)
        self.autoencoder = freeze(create_model(config.autoencoder, rngs=rngs))
        self.has_weights = not jax.tree.leaves(nnx.state(self.autoencoder, Frozen))
        kind = type(self.autoencoder).__name__
        if not (isinstance(self.autoencoder, Encodes) and isinstance(self.autoencoder, Decodes)):
            raise InvalidTypeError(f"the autoencoder, a {kind}, has to encode and decode")
        self.latent_mean = nnx.Variable(jnp.zeros(()))
        self.latent_scale = nnx.Variable(jnp.ones(()))
        self.fitted = nnx.Variable(jnp.zeros((), bool))
        found = _latent_shape(self.autoencoder, config.input_shape)
        if found != config.latent_shape:
            raise InvalidInputError(
                f"latent_shape is {config.latent_shape}, but the autoencoder's latents of {config.input_shape} "
                f"have shape {found}"
            )

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """As of any diffusion model, but that ``clip_x0`` bounds latents; ``x`` as the autoencoder has it."""
        ranges = {name: allowed for name, allowed in super().value_ranges(batch).items() if name != "x"}
        of_autoencoder = self.autoencoder.value_ranges(batch) if isinstance(self.autoencoder, DeclaresValues) else {}
        return {**ranges, **{name: allowed for name, allowed in of_autoencoder.items() if name == "x"}}

    @property
    def initialized(self) -> bool:
        """Whether the latents were measured."""
        return bool(self.fitted[...])

    def initialize(self, batch: Batch, *, rngs: nnx.Rngs | None = None) -> None:
        """Read the autoencoder's weights, if the config says from where, and measure its latents of a batch.

        Args:
            batch: holds ``x``.
            rngs: stream ``sample`` draws latents; the model's own by default.

        Raises:
            RunError: the autoencoder has no weights but those it was made with, which are random.
        """
        if self.config.pretrained is not None:
            self.load_autoencoder(self.config.pretrained)
        if not self.has_weights:
            raise RunError(
                f"model.pretrained is null, and so the autoencoder, a {type(self.autoencoder).__name__}, has random weights; "
                "train it first, by artifex train and a run of such a model, and give its folder as model.pretrained: "
                "RUN/model, or call load_autoencoder"
            )
        z = self._encoded(self._checked(batch["x"]), draw_key(self, rngs))
        self.latent_mean[...] = jnp.mean(z)
        self.latent_scale[...] = 1 / jnp.std(z)
        self.fitted[...] = jnp.ones((), bool)

    def load_autoencoder(self, folder: str | Path) -> None:
        """Take the weights of a saved model, the folder of which :func:`artifex.core.storage.save_model` wrote.

        Raises:
            RunError: there is none, or its weights are those of another model.
        """
        file = Path(folder) / WEIGHTS_FILE
        if not file.is_file():
            raise RunError(
                f"there is no trained autoencoder in {folder}; train one first, and give its folder "
                "as model.pretrained: RUN/model"
            )
        set_weights(self.autoencoder, read_weights(file))
        self.has_weights = True

    def __call__(
        self,
        x: Float[Array, "B ..."],
        *,
        condition: Condition | None = None,
        label: Int[Array, "B"] | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> dict[str, Array]:
        """The network's prediction for each example's latent, and what it is measured against.

        Args:
            x: data ``(B, ...)``.
            condition: classes ``(B,)``, or vectors, for a model that has conditions.
            label: what data sets call the classes.
            rngs: stream ``sample`` draws latents, times, noise and dropped conditions; the model's own by default.

        Returns:
            ``prediction`` and ``target`` ``(B, *Z)``; ``weight`` ``(B,)``.
        """
        x = self._checked(x)
        z = self._encoded(x, draw_key(self, rngs))
        z = (z - self.latent_mean[...]) * self.latent_scale[...]
        return self._predicted(z, self._given(condition, label, x.shape[0]), rngs)

    def _encoded(self, x: Array, key: Array) -> Array:
        z = latents_of(self.autoencoder.encode(x), key)
        return jax.lax.stop_gradient(z.astype(jnp.float32))

    def _sampled(self, n_samples: int, denoise: Denoiser, sampler: SamplerConfig, rngs: nnx.Rngs | None) -> Array:
        z = super()._sampled(n_samples, denoise, sampler, rngs)
        return self.autoencoder.decode(z / self.latent_scale[...] + self.latent_mean[...])


def latents_of(encoded: Any, key: Array) -> Array:
    """A draw from what an encoder gives, where that is a distribution; itself, where it is an array.

    Raises:
        InvalidTypeError: it is neither.
    """
    if isinstance(encoded, jax.Array):
        return encoded
    if callable(getattr(encoded, "sample", None)):
        return encoded.sample(key)
    raise InvalidTypeError(
        f"the autoencoder's encode gives a {type(encoded).__name__}; latent diffusion takes an array, or what has sample(key)"
    )


def _latent_shape(autoencoder: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of one latent, without computing any."""
    graph, state = nnx.split(autoencoder)

    def encode(state: Any, x: Array, key: Array) -> Array:
        return latents_of(nnx.merge(graph, state).encode(x), key)

    key = jax.eval_shape(jax.random.key, 0)  # its shape, and no key
    return jax.eval_shape(encode, nnx.as_pure(state), jax.ShapeDtypeStruct((1, *shape), np.float32), key).shape[1:]
