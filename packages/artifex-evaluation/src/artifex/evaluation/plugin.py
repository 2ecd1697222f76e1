"""What artifex-evaluation registers."""

import math

from artifex.core.plugins import CommandEntry, MetricEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_SETS = ("samples", "references")


@hookimpl
def artifex_commands():
    home = "artifex.evaluation.commands"
    commands = {
        "evaluate": "Measure a run or a model: every metric that applies, with intervals.",
        "benchmark": "Measure models on a suite of data sets.",
        "compare": "Compare the results of runs, and tell which changes are real.",
        "history": "Show a metric over all runs.",
    }
    return [CommandEntry(name=name, target=f"{home}:{name}", summary=summary) for name, summary in commands.items()]


@hookimpl
def artifex_suites():
    suites = {
        "densities": "Densities in the plane that are known.",
        "digits": "scikit-learn's handwritten digits.",
        "fashion-mnist": "Fashion-MNIST.",
    }
    home = "artifex.evaluation.suites"
    return [
        SuiteEntry(name=name, file=f"{home}:{name.replace('-', '_')}.yaml", summary=summary) for name, summary in suites.items()
    ]


@hookimpl
def artifex_metrics():
    home = "artifex.evaluation.metrics"
    vectors = {"modality": "vector", "needs": _SETS, "compares": "sets"}
    naeem, sajjadi = "Naeem et al. 2020, arXiv:2002.09797", "Kynkäänniemi et al. 2019, arXiv:1904.06991"
    return [
        MetricEntry(
            name="loss",
            metric=f"{home}.likelihood:loss",
            needs=("model", "references", "rngs"),
            takes=("labels", "mask", "condition"),
            higher_is_better=False,
            capabilities=("loss_fn",),
            summary="The training objective on held-out data.",
        ),
        MetricEntry(
            name="mean_log_prob",
            metric=f"{home}.likelihood:mean_log_prob",
            needs=("log_prob",),
            higher_is_better=True,
            family="diffusion",
            compares="model",
            max_examples=512,
            unit="nats",
            tolerance=0.005,
            summary="Mean log density of held-out data, nats an example.",
        ),
        MetricEntry(
            name="divergence",
            metric=f"{home}.likelihood:divergence",
            needs=("log_prob", "data_log_prob"),
            higher_is_better=False,
            compares="model",
            unit="nats",
            tolerance=0.005,
            summary="Kullback-Leibler divergence of the model from the known law of the data, nats.",
        ),
        MetricEntry(
            name="energy_distance",
            metric=f"{home}.two_sets:energy_distance",
            **vectors,
            higher_is_better=False,
            min_examples=20,
            max_examples=5000,
            tolerance=0.005,
            paper="Székely & Rizzo 2013, doi:10.1016/j.jspi.2013.03.018",
            summary="Energy distance of samples from references.",
        ),
        MetricEntry(
            name="maximum_mean_discrepancy",
            metric=f"{home}.two_sets:maximum_mean_discrepancy",
            **vectors,
            higher_is_better=False,
            min_examples=20,
            max_examples=5000,
            tolerance=0.001,
            paper="Gretton et al. 2012, JMLR 13",
            summary="Squared maximum mean discrepancy, Gaussian kernels of several widths.",
        ),
        MetricEntry(
            name="sliced_wasserstein",
            metric=f"{home}.two_sets:sliced_wasserstein",
            modality="vector",
            needs=("samples", "references", "rngs"),
            compares="sets",
            higher_is_better=False,
            min_examples=20,
            tolerance=0.01,
            lowest=0,
            paper="Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3",
            summary="Mean Wasserstein distance along random directions.",
        ),
        *(
            MetricEntry(
                name=f"sample_{name}",
                metric=f"{home}.neighbours:{name}",
                **vectors,
                higher_is_better=True,
                min_examples=50,
                max_examples=5000,
                tolerance=0.01,
                lowest=0,
                highest=highest,
                paper=paper,
                summary=summary,
            )
            for name, highest, paper, summary in (
                ("precision", 1, sajjadi, "Share of samples that lie among the references."),
                ("recall", 1, sajjadi, "Share of references that lie among the samples."),
                ("density", math.inf, naeem, "How deep among the references samples lie."),
                ("coverage", 1, naeem, "Share of references with a sample near them."),
            )
        ),
    ]
