"""What artifex-flow registers."""

from __future__ import annotations

from artifex.core.plugins import ComponentEntry, DatasetEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)

CAPABILITIES = ("log_prob",)


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    return [
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
    """The base distributions."""
    kinds = {
        "normal": ("Normal", "The standard normal distribution, or a learned diagonal one."),
        "student_t": ("StudentT", "Heavy tails."),
        "mixture": ("Mixture", "A learned mixture of diagonal normal distributions."),
        "uniform": ("Uniform", "The uniform distribution on a box."),
    }
    home = "artifex.flow.distributions"
    return [
        ComponentEntry(
            slot="base_distribution", name=kind, component=f"{home}:{name}", config=f"{home}:{name}Config", summary=summary
        )
        for kind, (name, summary) in kinds.items()
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """The data sets."""
    return [
        DatasetEntry(
            name="density",
            dataset="artifex.flow.densities.dataset:DensitySamples",
            config="artifex.flow.densities.dataset:DensitySamplesConfig",
            summary="Draws of a known density on the plane: two moons, checkerboard, rings and others.",
        ),
        DatasetEntry(
            name="sklearn_table",
            dataset="artifex.flow.tables:SklearnTable",
            config="artifex.flow.tables:SklearnTableConfig",
            summary="scikit-learn's small tables, standardised: breast cancer, diabetes, iris, wine.",
        ),
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """Whole runs."""
    presets = {
        "nsf-two-moons": "A neural spline flow on two moons; half a minute.",
        "nsf-eight-gaussians": "A neural spline flow on eight Gaussians; half a minute.",
        "nsf-digits": "A neural spline flow on the digits, dequantised; a minute.",
        "maf-breast-cancer": "A masked autoregressive flow on a table of 30 columns; seconds.",
    }
    return [
        PresetEntry(name=name, file=f"artifex.flow:presets/{name}.yaml", summary=summary) for name, summary in presets.items()
    ]
