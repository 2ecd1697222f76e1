"""What artifex-diffusion registers."""

from __future__ import annotations

from artifex.core.plugins import ComponentEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)

DENSITY = ("log_prob", "score")


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    models = {
        "ddim": (
            "ddim:DDIM",
            ("interpolate", *DENSITY),
            "Song et al. 2020, arXiv:2010.02502",
            "A DDPM drawn in few steps without fresh noise.",
        ),
        "ddpm": ("ddpm:DDPM", DENSITY, "Ho et al. 2020, arXiv:2006.11239", "Noise predicted; ancestral sampling."),
        "dit": (
            "dit_model:DiT",
            DENSITY,
            "Peebles & Xie 2022, arXiv:2212.09748",
            "The diffusion transformer: adaptive layer norm from zero, on patches.",
        ),
        "edm": (
            "edm:EDM",
            DENSITY,
            "Karras et al. 2022, arXiv:2206.00364",
            "Preconditioned at every noise level; Heun's method.",
        ),
        "guided_diffusion": (
            "guided:GuidedDiffusion",
            DENSITY,
            "Ho & Salimans 2022, arXiv:2207.12598",
            "Conditional, conditions dropped in training; guidance by itself or by a classifier.",
        ),
        "latent_diffusion": (
            "latent:LatentDiffusion",
            (),
            "Rombach et al. 2022, arXiv:2112.10752",
            "Of the latents of any frozen model that encodes and decodes.",
        ),
        "rectified_flow": (
            "rectified_flow:RectifiedFlow",
            DENSITY,
            "Liu et al. 2022, arXiv:2209.03003",
            "Straight paths between data and noise; the velocity predicted.",
        ),
        "score_sde": (
            "score_sde:ScoreSDE",
            DENSITY,
            "Song et al. 2020, arXiv:2011.13456",
            "Scores in continuous time; stochastic and probability-flow sampling, exact likelihood.",
        ),
    }
    return [
        ModelEntry(
            name=name,
            model=f"artifex.diffusion.{target}Model",
            config=f"artifex.diffusion.{target}Config",
            family="diffusion",
            capabilities=capabilities,
            paper=paper,
            summary=summary,
        )
        for name, (target, capabilities, paper, summary) in models.items()
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """Networks, processes, parameterisations and samplers."""
    networks = {
        "dit": ("dit:DiT", "dit:DiTBackboneConfig", "Images: a transformer on patches, adaptive layer norm from zero."),
        "mlp": ("mlp:MLPBackbone", "mlp:MLPBackboneConfig", "Vectors: a residual multilayer perceptron."),
        "unet": ("unet:UNet", "unet:UNetBackboneConfig", "Images: residual blocks at several sizes, with attention."),
        "unet1d": ("unet1d:UNet1D", "unet1d:UNet1DBackboneConfig", "Sequences: residual blocks at several lengths."),
    }
    processes = {
        "straight": ("processes:StraightPath", "processes:StraightPathConfig", "Straight lines from examples to noise."),
        "variance_exploding": ("processes:VarianceExploding", "processes:VarianceExplodingConfig", "Noise that grows."),
        "variance_preserving": ("processes:VariancePreserving", "schedules:NoiseScheduleConfig", "A schedule of steps."),
    }
    home = "parameterizations"
    predictions = {
        "edm": (f"{home}:Preconditioning", f"{home}:PreconditioningConfig", "A mixture of unit variance at every level."),
        "epsilon": (f"{home}:Epsilon", f"{home}:EpsilonConfig", "The noise."),
        "v": (f"{home}:V", f"{home}:VConfig", "alpha e - sigma x_0."),
        "velocity": (f"{home}:Velocity", f"{home}:VelocityConfig", "e - x_0."),
        "x0": (f"{home}:X0", f"{home}:X0Config", "The example."),
    }
    samplers = {
        "ddim": ("DDIM", "Deterministic, or with some fresh noise; order one."),
        "ddpm": ("DDPM", "Ancestral sampling."),
        "dpm_solver_pp_2m": ("DPMSolver", "DPM-Solver++ (2M): order two at one network a step."),
        "edm": ("EDM", "Heun's method with fresh noise before each step."),
        "euler": ("Euler", "Euler's method on the probability flow."),
        "heun": ("Heun", "Heun's method on the probability flow: order two."),
        "probability_flow": ("ProbabilityFlow", "The probability flow, order four: keeps likelihoods."),
    }
    slots = {
        "diffusion_network": networks,
        "noise_schedule": processes,
        "parameterization": predictions,
        "sampler": {
            name: (f"sampling:{stem}Sampler", f"sampling:{stem}SamplerConfig", summary)
            for name, (stem, summary) in samplers.items()
        },
    }
    return [
        ComponentEntry(
            slot=slot,
            name=name,
            component=f"artifex.diffusion.{component}",
            config=f"artifex.diffusion.{made_from}",
            summary=summary,
        )
        for slot, kinds in slots.items()
        for name, (component, made_from, summary) in kinds.items()
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {
        "ddpm-digits": "A DDPM on scikit-learn's handwritten digits.",
        "edm-mixed-table": "EDM on a made table with a column of every kind.",
        "edm-sines": "EDM on sines of random frequency and phase.",
        "edm-two-moons": "EDM on two moons.",
        "guided-fashion-mnist": "Class-conditional diffusion with guidance on Fashion-MNIST.",
        "latent-fashion-mnist": "Latent diffusion on Fashion-MNIST, over a trained VAE.",
        "rectified-flow-eight-gaussians": "A rectified flow on eight Gaussians.",
    }
    return [
        PresetEntry(name=name, file=f"artifex.diffusion:presets/{name}.yaml", summary=summary)
        for name, summary in summaries.items()
    ]
