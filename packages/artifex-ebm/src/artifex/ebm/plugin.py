"""What artifex-ebm registers."""

from __future__ import annotations

from artifex.core.plugins import ComponentEntry, LossEntry, MetricEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    du, hinton = "Du & Mordatch 2019, arXiv:1903.08689", "Smolensky 1986; Hinton 2002"
    models = {
        "ebm": ("ebm:EBM", f"LeCun et al. 2006; {du}", "Energy-based model: any energy, objective and chain."),
        "deep_ebm": ("deep_ebm:DeepEBM", du, "Energy-based model of images, convolutional or residual."),
        "conditional_ebm": ("conditional:ConditionalEBM", du, "Energy-based model given a class or a vector."),
        "jem": ("jem:JEM", "Grathwohl et al. 2019, arXiv:1912.03263", "Classifier that is a density too."),
        "rbm": ("rbm:RBM", hinton, "Restricted Boltzmann machine, binary or Gaussian."),
    }
    return [
        ModelEntry(
            name=name,
            model=f"artifex.ebm.{target}",
            config=f"artifex.ebm.{target}Config",
            family="ebm",
            capabilities=("energy", "score"),
            paper=paper,
            summary=summary,
        )
        for name, (target, paper, summary) in models.items()
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """Energies, objectives and references."""
    slots = {
        "energy_network": {
            "conv": ("image_energies:ConvEnergy", "Convolutions of stride two."),
            "resnet": ("image_energies:ResNetEnergy", "Residual convolutions."),
            "mlp": ("energies:EnergyNetwork", "A multilayer perceptron."),
            "quadratic": ("energies:QuadraticEnergy", "A Gaussian that is learned."),
            "product": ("energies:ProductOfEnergies", "A weighted sum of energies: all concepts at once."),
            "mixture": ("energies:MixtureEnergy", "A soft minimum of energies: one concept or another."),
        },
        "energy_objective": {
            "contrastive_divergence": ("objectives:ContrastiveDivergence", "Chains from a buffer, or from the data."),
            "denoising_score_matching": ("objectives:DenoisingScoreMatching", "The score of blurred data."),
            "sliced_score_matching": ("objectives:SlicedScoreMatching", "The score, along random directions."),
            "noise_contrastive": ("objectives:NoiseContrastive", "Data told from noise; log Z is learned too."),
        },
        "reference": {
            "gaussian": ("references:GaussianReference", "A round Gaussian."),
            "uniform": ("references:UniformReference", "A box."),
        },
    }
    return [
        ComponentEntry(
            slot=slot, name=name, component=f"artifex.ebm.{target}", config=f"artifex.ebm.{target}Config", summary=summary
        )
        for slot, components in slots.items()
        for name, (target, summary) in components.items()
    ]


@hookimpl
def artifex_losses() -> list[LossEntry]:
    """The losses."""
    losses = {
        "contrastive_divergence": ("Hinton 2002", "Energy of data minus energy of chains."),
        "denoising_score_matching": ("Vincent 2011", "Distance from the score of blurred data."),
        "sliced_score_matching": ("Song et al. 2019, arXiv:1905.07088", "Fisher divergence along random directions."),
        "noise_contrastive": ("Gutmann & Hyvärinen 2012", "Data told from noise."),
    }
    return [
        LossEntry(name=name, loss=f"artifex.ebm.losses:{name}", family="ebm", paper=paper, summary=summary)
        for name, (paper, summary) in losses.items()
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """The metrics."""
    return [
        MetricEntry(
            name="energy_gap",
            metric="artifex.ebm.streamed:energy_gap",
            needs=("model", "samples", "references"),
            takes=("condition",),
            higher_is_better=False,
            family="ebm",
            capabilities=("energy",),
            compares="sets",
            tolerance=0.05,
            paper="Du & Mordatch 2019, arXiv:1903.08689",
            summary="How much higher the energy of samples is than that of data.",
        )
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {
        "ebm-digits": "A convolutional energy of the digits, by persistent contrastive divergence.",
        "ebm-fashion-mnist": "A convolutional energy of Fashion-MNIST, by persistent contrastive divergence.",
        "ebm-two-moons": "An energy-based model on two moons, by persistent contrastive divergence.",
        "ebm-eight-gaussians": "An energy-based model on eight Gaussians, by persistent contrastive divergence.",
        "ebm-composition": "Concepts in one energy, a mixture of quadratic ones, on eight Gaussians.",
        "jem-digits": "A classifier of the digits that is a density too.",
        "rbm-digits": "A restricted Boltzmann machine on the digits.",
    }
    return [
        PresetEntry(name=name, file=f"artifex.ebm:presets/{name}.yaml", summary=summary) for name, summary in summaries.items()
    ]
