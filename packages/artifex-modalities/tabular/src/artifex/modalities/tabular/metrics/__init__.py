"""How good a table of samples is: fidelity, privacy, usefulness, and what is wrong with it on its face."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.tabular.metrics.fidelity import (
        column_ks_complement as column_ks_complement,
        column_tv_complement as column_tv_complement,
        contingency_similarity as contingency_similarity,
        correlation_similarity as correlation_similarity,
        ks_complement as ks_complement,
        pair_contingency_similarity as pair_contingency_similarity,
        pair_correlation_similarity as pair_correlation_similarity,
        tv_complement as tv_complement,
    )
    from artifex.modalities.tabular.metrics.privacy import (
        distance_to_closest_record as distance_to_closest_record,
        k_anonymity as k_anonymity,
        membership_auc as membership_auc,
        nearest_neighbour_ratio as nearest_neighbour_ratio,
    )
    from artifex.modalities.tabular.metrics.quality import (
        completeness as completeness,
        duplicates as duplicates,
        in_range as in_range,
        missing_similarity as missing_similarity,
        training_copies as training_copies,
    )
    from artifex.modalities.tabular.metrics.usefulness import (
        Utility as Utility,
        train_real_test_real as train_real_test_real,
        train_synthetic_test_real as train_synthetic_test_real,
        utility as utility,
    )

_HERE = "artifex.modalities.tabular.metrics"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Utility": f"{_HERE}.usefulness",
        "column_ks_complement": f"{_HERE}.fidelity",
        "column_tv_complement": f"{_HERE}.fidelity",
        "completeness": f"{_HERE}.quality",
        "contingency_similarity": f"{_HERE}.fidelity",
        "correlation_similarity": f"{_HERE}.fidelity",
        "distance_to_closest_record": f"{_HERE}.privacy",
        "duplicates": f"{_HERE}.quality",
        "in_range": f"{_HERE}.quality",
        "k_anonymity": f"{_HERE}.privacy",
        "ks_complement": f"{_HERE}.fidelity",
        "membership_auc": f"{_HERE}.privacy",
        "missing_similarity": f"{_HERE}.quality",
        "nearest_neighbour_ratio": f"{_HERE}.privacy",
        "pair_contingency_similarity": f"{_HERE}.fidelity",
        "pair_correlation_similarity": f"{_HERE}.fidelity",
        "train_real_test_real": f"{_HERE}.usefulness",
        "train_synthetic_test_real": f"{_HERE}.usefulness",
        "training_copies": f"{_HERE}.quality",
        "tv_complement": f"{_HERE}.fidelity",
        "utility": f"{_HERE}.usefulness",
    },
)
