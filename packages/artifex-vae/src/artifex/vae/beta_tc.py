r"""The beta-TC-VAE.

Chen et al. 2018, "Isolating Sources of Disentanglement in Variational Autoencoders" (arXiv:1802.04942), equation 4:

    loss = alpha I_q(z; n) + beta KL(q(z) || prod_j q(z_j)) + gamma sum_j KL(q(z_j) || p(z_j)) - E_q[log p(x | z)]

Of the divergence's three parts (:mod:`artifex.vae.total_correlation`) the second, dependence between latents, is what
disentanglement asks to be small; the beta-VAE weighs all three.

Shapes: ``B = batch``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.core.protocols import Batch
from artifex.vae.total_correlation import Estimator, beta_tc_objective, decomposed_divergence
from artifex.vae.vae import VAE, VAEConfig, averages

__all__ = ["BetaTCVAE", "BetaTCVAEConfig"]


@config
class BetaTCVAEConfig(VAEConfig):
    """A VAE whose latents' total correlation is weighted.

    Example:
        >>> from artifex.vae import DecoderConfig, EncoderConfig
        >>> made = BetaTCVAEConfig(
        ...     encoder=EncoderConfig(hidden_dims=(8,), input_shape=(6,)),
        ...     decoder=DecoderConfig(hidden_dims=(8,)),
        ...     latent_dim=2,
        ...     dataset_size=1300,
        ... )
        >>> made.beta
        6.0
    """

    dataset_size: Annotated[int, Field(gt=0)]
    """Number of training examples, which the aggregate posterior is an average over."""
    alpha: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the mutual information between the latent and the example."""
    beta: Annotated[float, Field(ge=0)] = 6.0
    """Weight of the total correlation."""
    gamma: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the dimension-wise divergence from the prior."""
    estimator: Estimator = "stratified"
    """Of the aggregate posterior from a batch: `stratified` (unbiased) or `weighted`, the paper's sampling schemes."""

    def __post_init__(self) -> None:
        VAEConfig.__post_init__(self)
        if self.kl_weight != 1.0:
            raise ValueError(
                f"kl_weight is {self.kl_weight}, but here alpha, beta and gamma weight the divergence; leave kl_weight out"
            )


class BetaTCVAE(VAE):
    """A VAE trained for latents that do not depend on each other. Everything but the loss is :class:`artifex.vae.VAE`'s.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`BetaTCVAEConfig`.
    """

    config: BetaTCVAEConfig

    def __init__(self, config: BetaTCVAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, BetaTCVAEConfig):
            raise InvalidTypeError(f"BetaTCVAE takes a BetaTCVAEConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """The objective at the head of this file, in nats an example.

        Returns:
            ``loss``, ``reconstruction_loss``, ``kl``, ``elbo``, and the estimates ``mutual_information``,
            ``total_correlation`` and ``dimension_wise``, whose sum is ``kl`` on average.

        Raises:
            InvalidInputError: the batch is larger than the data set is said to be.
        """
        made = self.config
        log_likelihood, kl = self.elbo_terms(batch["x"], outputs)
        posterior = (outputs["z"], outputs["mean"], outputs["log_variance"])
        terms = decomposed_divergence(*posterior, dataset_size=made.dataset_size, estimator=made.estimator)
        loss = beta_tc_objective(log_likelihood, kl, terms, alpha=made.alpha, beta=made.beta, gamma=made.gamma)
        means = {name: jnp.mean(term) for name, term in terms._asdict().items()}
        return {"loss": loss, **averages(log_likelihood, kl), **means}
