"""A model that has to know how many examples there are is not trained with another number."""

from __future__ import annotations

import pytest

from artifex.core.errors import RunError
from artifex.training import RunConfig, build_run


def run_config(dataset_size: int) -> RunConfig:
    return RunConfig.from_dict(
        {
            "model": {
                "kind": "beta_tc_vae",
                "encoder": {"input_shape": [8, 8, 1], "hidden_dims": [8]},
                "decoder": {"hidden_dims": [8]},
                "latent_dim": 2,
                "dataset_size": dataset_size,
            },
            "data": {"dataset": {"kind": "digits"}, "modality": {"kind": "image", "height": 8, "width": 8}},
            "training": {"steps": 1, "batch_size": 4, "optimizer": {"optimizer_type": "sgd", "learning_rate": 0.1}},
        }
    )


def test_a_wrong_number_of_examples_is_refused() -> None:
    with pytest.raises(RunError, match=r"model.dataset_size is 1000, but split 'train' has 1300 examples; set it to 1300"):
        build_run(run_config(1000))
    assert build_run(run_config(1300)).config.model.dataset_size == 1300
