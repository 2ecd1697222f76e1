"""Which of our own distributions provides what, so that an error can say what to install when it is missing.

Only names of ours stand here, never a third party's. A test in each distribution holds its plugin against this table.
"""

from __future__ import annotations

_PROVIDES: dict[str, dict[str, tuple[str, ...]]] = {
    "artifex-flow": {
        "model": (
            "conditional_flow",
            "continuous_flow",
            "flow_matching",
            "glow",
            "iaf",
            "image_real_nvp",
            "maf",
            "neural_spline_flow",
            "real_nvp",
        ),
        "loss": ("maximum_likelihood", "reverse_kl", "flow_matching"),
        "metric": ("negative_log_likelihood", "effective_sample_size", "log_normalizer", "inversion_error"),
        "component": (
            "base_distribution/normal",
            "base_distribution/student_t",
            "base_distribution/mixture",
            "base_distribution/uniform",
            "dequantization/uniform",
            "dequantization/variational",
        ),
        "dataset": ("density", "sklearn_table"),
        "preset": (
            "glow-digits",
            "glow-fashion-mnist",
            "maf-banana",
            "maf-breast-cancer",
            "maf-funnel",
            "nsf-checkerboard",
            "nsf-digits",
            "nsf-eight-gaussians",
            "nsf-grid-of-gaussians",
            "nsf-pinwheel",
            "nsf-rings",
            "nsf-swiss-roll",
            "nsf-two-moons",
            "nsf-two-spirals",
            "real-nvp-digits",
        ),
    },
    "artifex-vae": {
        "model": ("vae", "beta_vae", "beta_tc_vae", "iwae", "conditional_vae", "vqvae", "hierarchical_vae", "kl_autoencoder"),
        "component": ("likelihood/bernoulli", "likelihood/gaussian", "likelihood/laplace", "likelihood/discretized_logistic"),
        "loss": ("gaussian_kl", "beta_objective", "capacity_objective", "beta_tc_objective", "iwae_bound"),
        "dataset": ("codes",),
        "metric": (
            "elbo",
            "distortion",
            "rate",
            "log_likelihood",
            "bits_per_dimension",
            "active_units",
            "mutual_information_gap",
            "codebook_perplexity",
        ),
        "preset": (
            "vae-digits",
            "beta-vae-digits",
            "conditional-vae-digits",
            "hierarchical-vae-digits",
            "vqvae-digits",
            "vae-fashion-mnist",
        ),
    },
    "artifex-training": {
        "callback": ("checkpoint", "early_stop", "metrics_file", "mlflow", "progress", "sample_grid", "tensorboard", "wandb"),
        "command": ("train", "sample", "report"),
    },
    "artifex-modalities-image": {
        "modality": ("image",),
        "dataset": ("digits", "idx", "image_folder", "npz", "huggingface"),
        "metric": ("psnr", "ssim"),
    },
}

DISTRIBUTION_OF: dict[tuple[str, str], str] = {
    (kind, name): distribution for distribution, kinds in _PROVIDES.items() for kind, names in kinds.items() for name in names
}
"""Distribution by kind and name."""

BUILT_IN_COMMANDS = ("list", "info", "schema", "doctor")
"""Commands of the core itself; no plugin may take their names."""

COMMANDS = frozenset(name for kind, name in DISTRIBUTION_OF if kind == "command")
"""Commands of ours, installed or not."""

CONFIG_HOME: dict[str, tuple[str, str]] = {
    "BernoulliConfig": ("artifex.vae.likelihoods", "artifex-vae"),
    "BetaTCVAEConfig": ("artifex.vae.beta_tc", "artifex-vae"),
    "BetaVAEConfig": ("artifex.vae.beta", "artifex-vae"),
    "CapacityConfig": ("artifex.vae.beta", "artifex-vae"),
    "CodesConfig": ("artifex.vae.codes", "artifex-vae"),
    "ConditionEmbeddingConfig": ("artifex.flow.conditional", "artifex-flow"),
    "ConditionalFlowConfig": ("artifex.flow.conditional", "artifex-flow"),
    "ConditionalVAEConfig": ("artifex.vae.conditional", "artifex-vae"),
    "ContinuousFlowConfig": ("artifex.flow.continuous", "artifex-flow"),
    "ConvNetConfig": ("artifex.flow.layers", "artifex-flow"),
    "CouplingNetworkConfig": ("artifex.flow.real_nvp", "artifex-flow"),
    "DataConfig": ("artifex.training", "artifex-training"),
    "DecoderConfig": ("artifex.vae", "artifex-vae"),
    "DensitySamplesConfig": ("artifex.flow.densities", "artifex-flow"),
    "DiscretizedLogisticConfig": ("artifex.vae.likelihoods", "artifex-vae"),
    "EncoderConfig": ("artifex.vae", "artifex-vae"),
    "ExtensionConfig": ("artifex.core.extensions", "artifex-core"),
    "FlowConfig": ("artifex.flow", "artifex-flow"),
    "FlowMatchingConfig": ("artifex.flow.flow_matching", "artifex-flow"),
    "GaussianConfig": ("artifex.vae.likelihoods", "artifex-vae"),
    "GlowConfig": ("artifex.flow.glow", "artifex-flow"),
    "HierarchicalVAEConfig": ("artifex.vae.hierarchical", "artifex-vae"),
    "IAFConfig": ("artifex.flow.iaf", "artifex-flow"),
    "IWAEConfig": ("artifex.vae.iwae", "artifex-vae"),
    "ImageAugmentConfig": ("artifex.modalities.image", "artifex-modalities-image"),
    "ImageFlowConfig": ("artifex.flow", "artifex-flow"),
    "ImageModalityConfig": ("artifex.modalities.image", "artifex-modalities-image"),
    "ImageRealNVPConfig": ("artifex.flow.image_real_nvp", "artifex-flow"),
    "ImageStandardizeConfig": ("artifex.modalities.image", "artifex-modalities-image"),
    "KLAutoencoderConfig": ("artifex.vae.kl_autoencoder", "artifex-vae"),
    "LaplaceConfig": ("artifex.vae.likelihoods", "artifex-vae"),
    "LikelihoodConfig": ("artifex.vae.likelihoods", "artifex-vae"),
    "MAFConfig": ("artifex.flow.maf", "artifex-flow"),
    "MixtureConfig": ("artifex.flow.distributions", "artifex-flow"),
    "NeuralSplineFlowConfig": ("artifex.flow.neural_spline", "artifex-flow"),
    "NormalConfig": ("artifex.flow.distributions", "artifex-flow"),
    "ODESolverConfig": ("artifex.flow.bijections.ode", "artifex-flow"),
    "OptimizerConfig": ("artifex.training", "artifex-training"),
    "RealNVPConfig": ("artifex.flow.real_nvp", "artifex-flow"),
    "RunConfig": ("artifex.training", "artifex-training"),
    "SchedulerConfig": ("artifex.training", "artifex-training"),
    "ShardingConfig": ("artifex.core.mesh", "artifex-core"),
    "SklearnTableConfig": ("artifex.flow.tables", "artifex-flow"),
    "StudentTConfig": ("artifex.flow.distributions", "artifex-flow"),
    "TrainerConfig": ("artifex.training", "artifex-training"),
    "UniformConfig": ("artifex.flow.distributions", "artifex-flow"),
    "UniformDequantizationConfig": ("artifex.flow.dequantization", "artifex-flow"),
    "VAEConfig": ("artifex.vae.vae", "artifex-vae"),
    "VQVAEConfig": ("artifex.vae.vqvae", "artifex-vae"),
    "VariationalDequantizationConfig": ("artifex.flow.dequantization", "artifex-flow"),
}
"""Module and distribution of each public config class of ours."""
