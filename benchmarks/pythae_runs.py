"""The networks of `torch_vaes.py` in pythae's `VAE`, under pythae's own trainer."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor
from torch_vaes import TorchVAE


class _Encoder(BaseEncoder):
    def __init__(self, vae: TorchVAE) -> None:
        super().__init__()
        self.trunk, self.mean, self.log_var = vae.trunk, vae.mean, vae.log_var

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.trunk(x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class _Decoder(BaseDecoder):
    def __init__(self, vae: TorchVAE) -> None:
        super().__init__()
        self.body = vae.decoder

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.body(z)))  # pythae's Bernoulli loss takes probabilities


def pythae_vae(vae: TorchVAE, shape: Sequence[int], latent_dim: int) -> VAE:
    """The networks of ``vae`` inside pythae's own model, which brings its loss and sampling."""
    config = VAEConfig(input_dim=tuple(shape), latent_dim=latent_dim, reconstruction_loss="bce")
    return VAE(config, encoder=_Encoder(vae), decoder=_Decoder(vae))


def image_dataset(images: np.ndarray) -> BaseDataset:
    """Images ``(N, C, H, W)`` in memory; pythae wants a label for each."""
    return BaseDataset(torch.as_tensor(images), torch.zeros(len(images)))


def pythae_trainer(model: VAE, train: np.ndarray, validation: np.ndarray | None = None, **training: object) -> BaseTrainer:
    """A pythae trainer over images ``(N, C, H, W)`` in memory; ``training`` goes to its config."""
    held_out = None if validation is None else image_dataset(validation)
    with quiet():
        return BaseTrainer(model, image_dataset(train), held_out, BaseTrainerConfig(**training))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps pythae's log lines and progress bars, which are drawn all the same, out of a benchmark's report."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
