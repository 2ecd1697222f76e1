r"""The importance-weighted autoencoder.

Burda, Grosse & Salakhutdinov 2015, "Importance Weighted Autoencoders" (arXiv:1509.00519), equations 8 and 13:

    z_1 ... z_K ~ q(z | x),   w_k = p(x | z_k) p(z_k) / q(z_k | x)
    loss = -E[log 1/K sum_k w_k] >= -log p(x)                        a tighter bound than the ELBO's, which K = 1 gives back
    d loss = -E[sum_k w_k / (sum_l w_l) d log w_k]                   its gradient, through the draws as well

Shapes: ``B = batch, K = draws for each example, L = latent, ... = one example``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.core.protocols import Batch
from artifex.vae import losses
from artifex.vae.encoders import DiagonalGaussian
from artifex.vae.likelihoods import accumulated, gaussian_log_prob
from artifex.vae.vae import VAE, Given, VAEConfig, averages

__all__ = ["IWAE", "IWAEConfig"]


@config
class IWAEConfig(VAEConfig):
    """A VAE trained on the importance-weighted bound."""

    num_samples: Annotated[int, Field(gt=0)] = 5
    """Draws of the latent for each example, ``K``: the decoder's share of a training step costs as many times as much."""

    def __post_init__(self) -> None:
        VAEConfig.__post_init__(self)
        if self.kl_weight != 1.0:
            raise ValueError(f"kl_weight is {self.kl_weight}, but this bound has no divergence to weight; leave kl_weight out")


class IWAE(VAE):
    """A VAE trained on the importance-weighted bound. Everything but the loss is :class:`artifex.vae.VAE`'s.

    Raises:
        InvalidTypeError: ``config`` is not an :class:`IWAEConfig`.

    Example:
        >>> from artifex.vae import DecoderConfig, EncoderConfig
        >>> config = IWAEConfig(
        ...     encoder=EncoderConfig(hidden_dims=(8,), input_shape=(6,)),
        ...     decoder=DecoderConfig(hidden_dims=(8,)),
        ...     latent_dim=2,
        ...     num_samples=3,
        ... )
        >>> outputs = IWAE(config, rngs=nnx.Rngs(0))(jnp.zeros((4, 6)))
        >>> outputs["z"].shape, outputs["parameters"].shape, outputs["reconstruction"].shape
        ((4, 3, 2), (4, 3, 6), (4, 6))
    """

    config: IWAEConfig

    def __init__(self, config: IWAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, IWAEConfig):
            raise InvalidTypeError(f"IWAE takes an IWAEConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)

    def _outputs(self, x: Float[Array, "B ..."], given: Given, key: Array) -> dict[str, Array]:
        """As the VAE's, but ``z`` is ``(B, K, L)`` and ``parameters`` ``(B, K, ...)``; ``reconstruction``: the first draw's."""
        posterior = self._posterior(x, given)
        noise = jax.random.normal(key, (x.shape[0], self.config.num_samples, self.latent_dim))
        # z stays in float32: the weights are densities of the very draw that was made
        z = DiagonalGaussian(*(a[:, None] for a in posterior)).reparameterize(noise)  # (B, K, L)
        parameters = self._parameters(jax.lax.collapse(z, 0, 2).astype(posterior.mean.dtype), given)
        parameters = parameters.reshape(*z.shape[:2], *parameters.shape[1:])
        return {
            "reconstruction": self.likelihood.mean(parameters[:, 0]),
            "parameters": parameters,
            "z": z,
            "mean": posterior.mean,
            "log_variance": posterior.log_variance,
        }

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean_B -log 1/K sum_k w_k``, nats an example.

        Returns:
            ``loss``; ``reconstruction_loss``, ``kl`` and ``elbo``, as a VAE's, the likelihood averaged over the draws.
        """
        log_likelihood, kl = self.elbo_terms(batch["x"], outputs)
        bound = losses.iwae_bound(self._draws_log_weights(batch["x"], outputs).T)
        return {"loss": -jnp.mean(bound), **averages(log_likelihood, kl)}

    def elbo_terms(self, x: Float[Array, "B ..."], outputs: Mapping[str, Array]) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """``log p(x | z)``, averaged over the draws, and ``KL(q(z | x) || p(z))`` of each example, nats."""
        log_likelihood = jnp.mean(self._log_likelihoods(x, outputs), axis=1)
        return log_likelihood, losses.gaussian_kl(outputs["mean"], outputs["log_variance"])

    def _log_likelihoods(self, x: Float[Array, "B ..."], outputs: Mapping[str, Array]) -> Float[Array, "B K"]:
        return self._summed(self.likelihood.log_prob(x[:, None], outputs["parameters"]))

    def _draws_log_weights(self, x: Float[Array, "B ..."], outputs: Mapping[str, Array]) -> Float[Array, "B K"]:
        """``log w_k = log p(x | z_k) + log p(z_k) - log q(z_k | x)``."""
        z, scale = outputs["z"], jnp.exp(0.5 * accumulated(outputs["log_variance"]))
        one = jnp.ones((1, 1, 1))
        log_prior = jnp.sum(gaussian_log_prob(z, 0 * one, one), axis=-1)
        log_posterior = jnp.sum(gaussian_log_prob(z, outputs["mean"][:, None], scale[:, None]), axis=-1)
        return self._log_likelihoods(x, outputs) + log_prior - log_posterior
