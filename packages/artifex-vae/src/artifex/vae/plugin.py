"""What artifex-vae registers."""

from __future__ import annotations

from artifex.core.plugins import ComponentEntry, LossEntry, MetricEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)

CAPABILITIES = ("log_prob", "encode", "decode", "reconstruct", "interpolate")


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    return [
        ModelEntry(
            name="vae",
            model="artifex.vae.vae:VAE",
            config="artifex.vae.vae:VAEConfig",
            family="vae",
            capabilities=CAPABILITIES,
            paper="Kingma & Welling 2013, arXiv:1312.6114",
            summary="Variational autoencoder, dense, convolutional or residual.",
        ),
        ModelEntry(
            name="beta_vae",
            model="artifex.vae.beta:BetaVAE",
            config="artifex.vae.beta:BetaVAEConfig",
            family="vae",
            capabilities=CAPABILITIES,
            paper="Higgins et al. 2017; Burgess et al. 2018, arXiv:1804.03599",
            summary="VAE with a weighted divergence or an annealed capacity.",
        ),
        ModelEntry(
            name="conditional_vae",
            model="artifex.vae.conditional:ConditionalVAE",
            config="artifex.vae.conditional:ConditionalVAEConfig",
            family="vae",
            capabilities=CAPABILITIES,
            paper="Sohn et al. 2015 (NIPS); Kingma et al. 2014, arXiv:1406.5298",
            summary="VAE given a class or a vector, dense, convolutional or residual.",
        ),
        ModelEntry(
            name="vqvae",
            model="artifex.vae.vqvae:VQVAE",
            config="artifex.vae.vqvae:VQVAEConfig",
            family="vae",
            capabilities=("encode", "decode", "reconstruct"),
            paper="van den Oord et al. 2017, arXiv:1711.00937",
            summary="VAE of images with discrete codes from a learned codebook.",
        ),
        ModelEntry(
            name="hierarchical_vae",
            model="artifex.vae.hierarchical:HierarchicalVAE",
            config="artifex.vae.hierarchical:HierarchicalVAEConfig",
            family="vae",
            capabilities=("log_prob", "reconstruct"),
            paper="Sønderby et al. 2016, arXiv:1602.02282",
            summary="VAE of several stochastic levels with top-down inference and free bits.",
        ),
        ModelEntry(
            name="kl_autoencoder",
            model="artifex.vae.kl_autoencoder:KLAutoencoder",
            config="artifex.vae.kl_autoencoder:KLAutoencoderConfig",
            family="vae",
            capabilities=("encode", "decode", "reconstruct"),
            paper="Rombach et al. 2022, arXiv:2112.10752",
            summary="Autoencoder of images with latents for diffusion: the first stage of latent diffusion.",
        ),
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """The likelihoods."""
    kinds = {
        "bernoulli": ("Bernoulli", "Binary data, or grey values in [0, 1]."),
        "gaussian": ("Gaussian", "Real data; the noise is fixed, learned or predicted."),
        "laplace": ("Laplace", "Real data judged by its absolute error; the noise is fixed or learned."),
        "discretized_logistic": ("DiscretizedLogistic", "Data on evenly spaced levels, such as 8-bit images."),
    }
    home = "artifex.vae.likelihoods"
    return [
        ComponentEntry(slot="likelihood", name=kind, component=f"{home}:{name}", config=f"{home}:{name}Config", summary=summary)
        for kind, (name, summary) in kinds.items()
    ]


@hookimpl
def artifex_losses() -> list[LossEntry]:
    """The losses."""
    papers = {
        "gaussian_kl": ("Kingma & Welling 2013, arXiv:1312.6114", "Divergence of a Gaussian from the standard normal."),
        "beta_objective": ("Higgins et al. 2017", "Minus the ELBO, its divergence weighted."),
        "capacity_objective": ("Burgess et al. 2018, arXiv:1804.03599", "Divergence held at a capacity."),
        "iwae_bound": ("Burda et al. 2015, arXiv:1509.00519", "Importance-weighted bound of the log likelihood."),
    }
    return [
        LossEntry(name=name, loss=f"artifex.vae.losses:{name}", family="vae", paper=paper, summary=summary)
        for name, (paper, summary) in papers.items()
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """The metrics."""
    return [
        MetricEntry(
            name="active_units",
            metric="artifex.vae.metrics:active_units",
            needs=("model", "references"),
            higher_is_better=True,
            paper="Burda et al. 2015, arXiv:1509.00519",
            summary="How many latents say anything about the data.",
        )
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    file = "artifex.vae:presets/digits.yaml"
    return [PresetEntry(name="vae-digits", file=file, summary="A VAE on scikit-learn's handwritten digits.")]
