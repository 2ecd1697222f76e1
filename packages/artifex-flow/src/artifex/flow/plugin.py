"""What artifex-flow registers."""

from __future__ import annotations

from artifex.core.plugins import (
    ComponentEntry,
    DatasetEntry,
    LossEntry,
    MetricEntry,
    ModelEntry,
    PresetEntry,
    hookimpl,
)

ARTIFEX_API = (1, 1)

CAPABILITIES = ("log_prob",)


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    return [
        ModelEntry(
            name="conditional_flow",
            model="artifex.flow.conditional:ConditionalFlow",
            config="artifex.flow.conditional:ConditionalFlowConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Papamakarios & Murray 2016, arXiv:1605.06376",
            summary="Any flow given an observation, with an embedding of it: neural posterior estimation.",
        ),
        ModelEntry(
            name="glow",
            model="artifex.flow.glow:Glow",
            config="artifex.flow.glow:GlowConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Kingma & Dhariwal 2018, arXiv:1807.03039",
            summary="Images: invertible 1x1 convolutions and affine coupling at several scales.",
        ),
        ModelEntry(
            name="continuous_flow",
            model="artifex.flow.continuous:ContinuousFlow",
            config="artifex.flow.continuous:ContinuousFlowConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Grathwohl et al. 2019, arXiv:1810.01367",
            summary="Along the solution of a differential equation, with exact or estimated trace.",
        ),
        ModelEntry(
            name="flow_matching",
            model="artifex.flow.flow_matching:FlowMatching",
            config="artifex.flow.flow_matching:FlowMatchingConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Lipman et al. 2023, arXiv:2210.02747",
            summary="A continuous flow trained by regression, without solving its equation.",
        ),
        ModelEntry(
            name="iaf",
            model="artifex.flow.iaf:IAF",
            config="artifex.flow.iaf:IAFConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Kingma et al. 2016, arXiv:1606.04934",
            summary="Inverse autoregressive flow: sample in one pass.",
        ),
        ModelEntry(
            name="image_real_nvp",
            model="artifex.flow.image_real_nvp:ImageRealNVP",
            config="artifex.flow.image_real_nvp:ImageRealNVPConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Dinh et al. 2016, arXiv:1605.08803",
            summary="Images: affine coupling with checkerboard and channel masks at several scales.",
        ),
        ModelEntry(
            name="maf",
            model="artifex.flow.maf:MAF",
            config="artifex.flow.maf:MAFConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Papamakarios et al. 2017, arXiv:1705.07057",
            summary="Masked autoregressive flow: density in one pass.",
        ),
        ModelEntry(
            name="neural_spline_flow",
            model="artifex.flow.neural_spline:NeuralSplineFlow",
            config="artifex.flow.neural_spline:NeuralSplineFlowConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Durkan et al. 2019, arXiv:1906.04032",
            summary="Rational-quadratic splines in coupling or autoregressive layers.",
        ),
        ModelEntry(
            name="real_nvp",
            model="artifex.flow.real_nvp:RealNVP",
            config="artifex.flow.real_nvp:RealNVPConfig",
            family="flow",
            capabilities=CAPABILITIES,
            paper="Dinh et al. 2016, arXiv:1605.08803",
            summary="Affine coupling layers on vectors.",
        ),
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """The base distributions, and the dequantisations of images."""
    bases = {
        "normal": ("Normal", "The standard normal distribution, or a learned diagonal one."),
        "student_t": ("StudentT", "Heavy tails."),
        "mixture": ("Mixture", "A learned mixture of diagonal normal distributions."),
        "uniform": ("Uniform", "The uniform distribution on a box."),
    }
    noises = {
        "uniform": ("UniformDequantization", "Uniform noise."),
        "variational": ("VariationalDequantization", "Noise from a flow given the image, learned with the density."),
    }
    homes = {"base_distribution": ("distributions", bases), "dequantization": ("dequantization", noises)}
    return [
        ComponentEntry(
            slot=slot,
            name=kind,
            component=f"artifex.flow.{home}:{name}",
            config=f"artifex.flow.{home}:{name}Config",
            summary=summary,
        )
        for slot, (home, kinds) in homes.items()
        for kind, (name, summary) in kinds.items()
    ]


@hookimpl
def artifex_losses() -> list[LossEntry]:
    """The losses."""
    home = "artifex.flow"
    losses = {
        "maximum_likelihood": (
            f"{home}.losses",
            "Papamakarios et al. 2021, arXiv:1912.02762",
            "Minus the mean log density of data.",
        ),
        "reverse_kl": (
            f"{home}.losses",
            "Rezende & Mohamed 2015, arXiv:1505.05770",
            "Divergence of a flow from an unnormalised target: variational inference.",
        ),
        "flow_matching": (
            f"{home}.flow_matching",
            "Lipman et al. 2023, arXiv:2210.02747",
            "Squared error of a velocity against that of straight paths.",
        ),
    }
    return [
        LossEntry(name=name, loss=f"{module}:{name}", family="flow", paper=paper, summary=summary)
        for name, (module, paper, summary) in losses.items()
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """The metrics."""
    behrmann, burda = "Behrmann et al. 2021, arXiv:2006.09347", "Burda et al. 2015, arXiv:1509.00519"
    return [
        MetricEntry(
            name="negative_log_likelihood",
            metric="artifex.flow.streamed:negative_log_likelihood",
            needs=("log_prob",),
            higher_is_better=False,
            family="flow",
            unit="nats",
            tolerance=0.005,
            summary="Minus the mean log density of data, nats an example.",
        ),
        MetricEntry(
            name="effective_sample_size",
            metric="artifex.flow.metrics:effective_sample_size",
            needs=("log_weights",),
            higher_is_better=True,
            family="flow",
            lowest=0,
            paper="Kish 1965",
            summary="How many independent draws weighted ones are worth.",
        ),
        MetricEntry(
            name="log_normalizer",
            metric="artifex.flow.metrics:log_normalizer",
            needs=("log_weights",),
            higher_is_better=True,
            family="flow",
            unit="nats",
            paper=burda,
            summary="Importance-weighted log normaliser of a target, from below on average.",
        ),
        MetricEntry(
            name="inversion_error",
            metric="artifex.flow.streamed:inversion_error",
            needs=("model", "references"),
            higher_is_better=False,
            takes=("condition",),
            family="flow",
            max_examples=1000,
            tolerance=1e-4,
            lowest=0,
            paper=behrmann,
            summary="The worst round trip from data to base and back.",
        ),
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """The data sets."""
    return [
        DatasetEntry(
            name="sklearn_table",
            dataset="artifex.flow.tables:SklearnTable",
            config="artifex.flow.tables:SklearnTableConfig",
            summary="scikit-learn's small tables, standardised: breast cancer, diabetes, iris, wine.",
        ),
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {
        "glow-digits": "A Glow on scikit-learn's handwritten digits.",
        "glow-fashion-mnist": "A Glow on Fashion-MNIST.",
        "maf-banana": "A masked autoregressive flow on a banana; half a minute.",
        "maf-breast-cancer": "A masked autoregressive flow on a table of 30 columns; seconds.",
        "maf-funnel": "A masked autoregressive flow on Neal's funnel; half a minute.",
        "nsf-checkerboard": "A neural spline flow on a checkerboard; half a minute.",
        "nsf-digits": "A neural spline flow on the digits, dequantised; a minute.",
        "nsf-eight-gaussians": "A neural spline flow on eight Gaussians; half a minute.",
        "nsf-grid-of-gaussians": "A neural spline flow on a grid of Gaussians; half a minute.",
        "nsf-pinwheel": "A neural spline flow on a pinwheel; half a minute.",
        "nsf-rings": "A neural spline flow on rings; half a minute.",
        "nsf-swiss-roll": "A neural spline flow on a Swiss roll; half a minute.",
        "nsf-two-moons": "A neural spline flow on two moons; half a minute.",
        "nsf-two-spirals": "A neural spline flow on two spirals; half a minute.",
        "real-nvp-digits": "A multi-scale Real NVP on the digits.",
    }
    return [
        PresetEntry(name=name, file=f"artifex.flow:presets/{name}.yaml", summary=summary) for name, summary in summaries.items()
    ]
