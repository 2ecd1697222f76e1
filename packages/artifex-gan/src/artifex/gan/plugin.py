"""What artifex-gan registers."""

from __future__ import annotations

from artifex.core.plugins import ComponentEntry, LossEntry, MetricEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)

HOME = "artifex.gan"


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    models = {
        "gan": (
            "gan:GAN",
            "Goodfellow et al. 2014, arXiv:1406.2661",
            "Generative adversarial network, dense or convolutional.",
        ),
        "dcgan": ("dcgan:DCGAN", "Radford et al. 2015, arXiv:1511.06434", "Deep convolutional GAN of images of any size."),
        "wgan": (
            "wgan:WGAN",
            "Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028",
            "Wasserstein GAN, its critic held by a gradient penalty.",
        ),
        "lsgan": ("lsgan:LSGAN", "Mao et al. 2017, arXiv:1611.04076", "GAN with least-squares losses."),
        "conditional_gan": (
            "conditional:ConditionalGAN",
            "Mirza & Osindero 2014, arXiv:1411.1784; Miyato & Koyama 2018, arXiv:1802.05637",
            "GAN given a class, with a projection discriminator.",
        ),
        "cycle_gan": (
            "cycle_gan:CycleGAN",
            "Zhu et al. 2017, arXiv:1703.10593",
            "Translation between two kinds of images without pairs.",
        ),
        "patch_gan": (
            "patch_gan:PatchGAN",
            "Isola et al. 2016, arXiv:1611.07004; Wang et al. 2017, arXiv:1711.11585",
            "Translation of paired images, judged by patches at one or several scales.",
        ),
    }
    return [
        ModelEntry(
            name=name,
            model=f"{HOME}.{target}",
            config=f"{HOME}.{target}Config",
            family="gan",
            paper=paper,
            summary=summary,
        )
        for name, (target, paper, summary) in models.items()
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """The networks."""
    kinds = {
        "generator/dense": ("Dense", "A multilayer perceptron."),
        "generator/conv": ("Conv", "Transposed convolutions from a small image upwards."),
        "discriminator/dense": ("Dense", "A multilayer perceptron."),
        "discriminator/conv": ("Conv", "Strided convolutions and a linear head."),
    }
    made = []
    for kind, (prefix, summary) in kinds.items():
        slot, _, name = kind.partition("/")
        home, part = f"{HOME}.{slot}s", slot.capitalize()
        described = f"{home}:{'' if name == 'dense' else prefix}{part}Config"
        made.append(ComponentEntry(slot=slot, name=name, component=f"{home}:{prefix}{part}", config=described, summary=summary))
    return made


@hookimpl
def artifex_losses() -> list[LossEntry]:
    """Both sides of every loss, and the penalties."""
    goodfellow, lim = "Goodfellow et al. 2014, arXiv:1406.2661", "Lim & Ye 2017, arXiv:1705.02894"
    mao, arjovsky = "Mao et al. 2017, arXiv:1611.04076", "Arjovsky et al. 2017, arXiv:1701.07875"
    relativistic, mescheder = "Jolicoeur-Martineau 2018, arXiv:1807.00734", "Mescheder et al. 2018, arXiv:1801.04406"
    losses = {
        "losses:logistic_discriminator": (goodfellow, "The discriminator's side of minimax and non-saturating games."),
        "losses:minimax_generator": (goodfellow, "The generator's side of the minimax game."),
        "losses:non_saturating_generator": (goodfellow, "The generator's side with a gradient that stays."),
        "losses:hinge_discriminator": (lim, "The discriminator's side of the hinge loss."),
        "losses:hinge_generator": (lim, "The generator's side of the hinge loss."),
        "losses:least_squares_discriminator": (mao, "The discriminator's side of least squares."),
        "losses:least_squares_generator": (mao, "The generator's side of least squares."),
        "losses:wasserstein_discriminator": (arjovsky, "The critic's side of the earth mover's distance."),
        "losses:wasserstein_generator": (arjovsky, "The generator's side of the earth mover's distance."),
        "losses:relativistic_discriminator": (relativistic, "The discriminator's side of the relativistic game."),
        "losses:relativistic_generator": (relativistic, "The generator's side of the relativistic game."),
        "penalties:gradient_penalty": (
            "Gulrajani et al. 2017, arXiv:1704.00028",
            "Distance of a critic's slope from 1, between real and generated data.",
        ),
        "penalties:r1": (mescheder, "Slope of a discriminator at real data."),
        "penalties:r2": (mescheder, "Slope of a discriminator at generated data."),
    }
    return [
        LossEntry(name=target.partition(":")[2], loss=f"{HOME}.{target}", family="gan", paper=paper, summary=summary)
        for target, (paper, summary) in losses.items()
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """The metrics."""
    return [
        MetricEntry(
            name="relative_spread",
            metric=f"{HOME}.streamed:relative_spread",
            needs=("samples", "references"),
            higher_is_better=True,
            family="gan",
            compares="sets",
            min_examples=20,
            tolerance=0.02,
            lowest=0,
            summary="How far samples lie apart, beside references; 0 where all are equal.",
        )
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {
        "cycle-gan-digits": "A CycleGAN between white digits on black and black digits on coloured ground.",
        "dcgan-digits": "A DCGAN on scikit-learn's handwritten digits.",
        "dcgan-fashion-mnist": "A DCGAN on Fashion-MNIST.",
        "gan-ring": "A dense GAN on eight Gaussians in a circle.",
        "wgan-fashion-mnist": "A WGAN with a gradient penalty on Fashion-MNIST.",
        "wgan-grid": "A WGAN with a gradient penalty on 25 Gaussians in a grid.",
    }
    return [
        PresetEntry(name=name, file=f"artifex.gan:presets/{name}.yaml", summary=summary) for name, summary in summaries.items()
    ]
