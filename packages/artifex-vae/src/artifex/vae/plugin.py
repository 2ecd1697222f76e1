"""What artifex-vae registers."""

from __future__ import annotations

from artifex.core.plugins import ComponentEntry, DatasetEntry, LossEntry, MetricEntry, ModelEntry, PresetEntry, hookimpl

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
            name="beta_tc_vae",
            model="artifex.vae.beta_tc:BetaTCVAE",
            config="artifex.vae.beta_tc:BetaTCVAEConfig",
            family="vae",
            capabilities=CAPABILITIES,
            paper="Chen et al. 2018, arXiv:1802.04942",
            summary="VAE with a weighted total correlation of its latents.",
        ),
        ModelEntry(
            name="iwae",
            model="artifex.vae.iwae:IWAE",
            config="artifex.vae.iwae:IWAEConfig",
            family="vae",
            capabilities=CAPABILITIES,
            paper="Burda et al. 2015, arXiv:1509.00519",
            summary="VAE trained on the importance-weighted bound.",
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
        ModelEntry(
            name="joint_vae",
            model="artifex.vae.joint:JointVAE",
            config="artifex.vae.joint:JointVAEConfig",
            family="vae",
            capabilities=("encode", "decode", "embed_parts", "reconstruct"),
            paper="Wu & Goodman 2018, arXiv:1802.05335; Shi et al. 2019, arXiv:1911.03393",
            summary="One latent for several kinds of data, any of which may be missing: product or mixture of experts.",
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
    own, apart = "artifex.vae.losses", "artifex.vae.total_correlation"
    losses = {
        f"{own}:gaussian_kl": ("Kingma & Welling 2013, arXiv:1312.6114", "Divergence of a Gaussian from the standard normal."),
        f"{own}:beta_objective": ("Higgins et al. 2017", "Minus the ELBO, its divergence weighted."),
        f"{own}:capacity_objective": ("Burgess et al. 2018, arXiv:1804.03599", "Divergence held at a capacity."),
        f"{own}:iwae_bound": ("Burda et al. 2015, arXiv:1509.00519", "Importance-weighted bound of the log likelihood."),
        f"{apart}:beta_tc_objective": ("Chen et al. 2018, arXiv:1802.04942", "Minus the ELBO, its total correlation weighted."),
    }
    return [
        LossEntry(name=loss.partition(":")[2], loss=loss, family="vae", paper=paper, summary=summary)
        for loss, (paper, summary) in losses.items()
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """The metrics."""
    burda, alemi = "Burda et al. 2015, arXiv:1509.00519", "Alemi et al. 2018, arXiv:1711.00464"
    drawn, alemi_units = ("model", "references", "rngs"), {"unit": "nats", "tolerance": 0.1}
    flat = ("vae", "beta_vae", "beta_tc_vae", "conditional_vae", "iwae")
    metrics = {
        "elbo": (drawn, True, "Kingma & Welling 2013, arXiv:1312.6114", "Evidence lower bound, nats an example.", alemi_units),
        "distortion": (drawn, False, alemi, "Minus the ELBO's log likelihood, nats an example.", alemi_units),
        "rate": (drawn, False, alemi, "The ELBO's divergence, nats an example.", alemi_units),
        "log_likelihood": (
            drawn,
            True,
            burda,
            "Importance-weighted log likelihood, nats an example.",
            {"capabilities": ("log_prob",), "max_examples": 1000, **alemi_units},
        ),
        "bits_per_dimension": (
            ("log_prob", "references"),
            False,
            "",
            "Bits that coding an element of the data costs.",
            {"capabilities": ("log_prob",), "modality": "image", "unit": "bits", "tolerance": 0.005},
        ),
        "active_units": (
            ("model", "references"),
            True,
            burda,
            "How many latents say anything about the data.",
            {"models": flat, "min_examples": 2, "tolerance": 1, "lowest": 0},
        ),
        "mutual_information_gap": (
            ("model", "references", "labels"),
            True,
            "Chen et al. 2018, arXiv:1802.04942",
            "How much better one latent knows a factor than all others.",
            {"models": flat, "min_examples": 100, "max_examples": 1000, "tolerance": 0.01, "lowest": 0, "highest": 1},
        ),
        "codebook_perplexity": (
            ("model", "references"),
            True,
            "van den Oord et al. 2017, arXiv:1711.00937",
            "How many codes are in use.",
            {"models": ("vqvae",), "tolerance": 1, "lowest": 1},
        ),
    }
    terms = ("beta_tc_vae", "beta_vae", "conditional_vae", "hierarchical_vae", "iwae", "kl_autoencoder", "vae")
    also = {name: {"models": terms} for name in ("elbo", "distortion", "rate")}
    whole = ("mutual_information_gap",)
    return [
        MetricEntry(
            name=name,
            metric=f"artifex.vae.{'metrics' if name in whole else 'streamed'}:{name}",
            needs=needs,
            higher_is_better=higher,
            takes=("condition",) if "model" in needs else (),
            family="vae",
            paper=paper,
            summary=summary,
            **also.get(name, {}),
            **rest,
        )
        for name, (needs, higher, paper, summary, rest) in metrics.items()
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """The data sets."""
    summary = "The codes of a trained VQ-VAE, to train their prior on."
    return [
        DatasetEntry(name="codes", dataset="artifex.vae.codes:Codes", config="artifex.vae.codes:CodesConfig", summary=summary)
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {
        "vae-digits": "A VAE on scikit-learn's handwritten digits.",
        "beta-vae-digits": "A beta-VAE, held at a capacity, on the digits.",
        "conditional-vae-digits": "A VAE of the digits given their class.",
        "hierarchical-vae-digits": "A VAE of three stochastic levels on the digits.",
        "vqvae-digits": "A VQ-VAE on the digits.",
        "joint-vae-digits": "A VAE of the digits and their words with one latent: either from the other.",
        "vae-fashion-mnist": "A VAE on Fashion-MNIST.",
    }
    return [
        PresetEntry(name=name, file=f"artifex.vae:presets/{name}.yaml", summary=summary) for name, summary in summaries.items()
    ]
