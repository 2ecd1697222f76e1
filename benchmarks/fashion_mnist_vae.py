"""Test bounds on binarised Fashion-MNIST: pythae's VAE and ours, the same network, data, epochs, optimiser and estimator.

    python benchmarks/fashion_mnist_vae.py [--seeds 3] [--learning-rates 0.001 0.002] [--folder FOLDER] [--quick]

Needs `torch`, `pythae`, `artifex-vae`, `artifex-modalities-image` and `artifex-training`, and Fashion-MNIST's four files in a
folder (Debian: `apt-get install dataset-fashion-mnist`).

The recipe, that of our preset `vae-fashion-mnist`: a pixel is on at v >= 128 of 255; all 60 000 images of the training part,
10 epochs, batches of 128, Adam at 2e-3 (and once more at 1e-3), no schedule. A dense VAE 784-400-20-400-784 with ReLU and a
Bernoulli likelihood: 652 824 parameters. Each side keeps its own initialisation and its own trainer. Ours gives the moving
average of the parameters (decay 0.999), which pythae's trainer has not; pythae's gives those of the last step. Rate and average
were chosen for our side on 5000 images held out of the training part.

The figures, nats an image, lower is better, computed for both by one function, `vae_digits.iwae_nll`, on the same noise: minus
the ELBO of the 10 000 test images (10 draws each), and minus the importance-weighted bound at K = 200 of the first 1000
(Burda et al. 2015, arXiv:1509.00519, equation 8).

Measured at 2e-3, seeds 0 and 1: pythae 127.97, 128.38 and IWAE 118.49, 118.72; ours 125.67, 125.61 and IWAE 116.43, 116.66.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import jax
import numpy as np
import torch
from flax import nnx
from pythae_runs import pythae_trainer, pythae_vae, quiet
from torch_vaes import dense_vae
from vae_digits import Decode, Encode, iwae_nll

from artifex.modalities.image.datasets.idx import Idx, IdxConfig
from artifex.training import Trainer, TrainerConfig
from artifex.vae import VAE, DecoderConfig, EncoderConfig, VAEConfig

SHAPE, HIDDEN, LATENT_DIM = (28, 28, 1), (400,), 20
BATCH, EPOCHS, EMA_DECAY = 128, 10, 0.999
Figures = tuple[float, float, float]


def main() -> None:
    """Train both for every learning rate and seed, in turns, and print one table for each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings of each")
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[1e-3, 2e-3], help="of both; one table each")
    parser.add_argument("--folder", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="of the IDX files")
    parser.add_argument("--quick", action="store_true", help="one epoch: shows that it runs, not how well")
    arguments = parser.parse_args()
    data, epochs = Idx(IdxConfig(folder=arguments.folder)), 1 if arguments.quick else EPOCHS
    train, test = (np.float32(data.arrays(split)["x"] >= 128) for split in ("train", "test"))
    for rate in arguments.learning_rates:
        print(f"\nFashion-MNIST, {epochs} epochs, Adam at {rate:g}: -ELBO and -IWAE-200 in nats, training in s\n")
        print("| seed | pythae: ELBO | IWAE | s | Artifex: ELBO | IWAE | s |\n|---|---|---|---|---|---|---|")
        rows = []
        for seed in range(arguments.seeds):
            settings = {"seed": seed, "epochs": epochs, "learning_rate": rate}
            rows.append((*pythae_figures(train, test, **settings), *artifex_figures(train, test, **settings)))
            print(_row(str(seed), rows[-1]), flush=True)
        print(_row("mean", [statistics.mean(column) for column in zip(*rows, strict=True)]), flush=True)


def bounds(encode: Encode, decode: Decode, test: np.ndarray) -> tuple[float, float]:
    """Minus the ELBO and minus the importance-weighted bound."""
    return iwae_nll(encode, decode, test, samples=10)[1], iwae_nll(encode, decode, test[:1000], samples=200)[0]


def pythae_figures(train: np.ndarray, test: np.ndarray, *, seed: int, epochs: int, learning_rate: float) -> Figures:
    """ELBO, IWAE and seconds of training under pythae's trainer."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # on a busy machine two wait for each other
    vae = pythae_vae(dense_vae((1, 28, 28), HIDDEN, LATENT_DIM), (1, 28, 28), LATENT_DIM)
    settings = {"num_epochs": epochs, "per_device_train_batch_size": BATCH, "learning_rate": learning_rate, "seed": seed}
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder, quiet():
        pythae_trainer(vae, train.transpose(0, 3, 1, 2), output_dir=folder, **settings).train()
    seconds = perf_counter() - start
    vae.eval()

    def encode(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        posterior = vae.encoder(torch.as_tensor(x))
        return posterior.embedding.numpy(), posterior.log_covariance.numpy()

    def decode(z: np.ndarray) -> np.ndarray:
        return vae.decoder.body(torch.as_tensor(z)).numpy().reshape(-1, *SHAPE)  # one channel: either order is the same

    with torch.no_grad():
        return *bounds(encode, decode, test), seconds


def artifex_figures(train: np.ndarray, test: np.ndarray, *, seed: int, epochs: int, learning_rate: float) -> Figures:
    """ELBO, IWAE and seconds of training under our trainer."""
    config = VAEConfig(
        encoder=EncoderConfig(input_shape=SHAPE, latent_dim=LATENT_DIM, hidden_dims=HIDDEN),
        decoder=DecoderConfig(hidden_dims=HIDDEN),
    )
    vae = VAE(config, rngs=nnx.Rngs(seed))
    settings = {"optimizer": {"learning_rate": learning_rate}, "ema_decay": EMA_DECAY}
    trainer = Trainer(vae, TrainerConfig(epochs=epochs, batch_size=BATCH, **settings), seed=seed)
    start = perf_counter()
    trainer.fit({"x": train})
    seconds = perf_counter() - start
    vae = trainer.evaluation_model()
    encode, decode = jax.jit(lambda x: tuple(vae.encode(x))), jax.jit(lambda z: vae.decoder(z))
    return *bounds(lambda x: tuple(map(np.asarray, encode(x))), lambda z: np.asarray(decode(z)), test), seconds


def _row(name: str, figures) -> str:
    return f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |"


if __name__ == "__main__":
    main()
