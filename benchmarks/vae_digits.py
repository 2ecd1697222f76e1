"""Test log-likelihood of binarised digits: pythae's VAE and ours, the same networks, data, epochs and estimator.

    python benchmarks/vae_digits.py [--seeds 3] [--order published] [--quick]

Needs `torch`, `pythae`, `artifex-vae`, `artifex-modalities-image` and `artifex-training`. About a minute a seed on two cores.

The recipe: scikit-learn's digits, a pixel is on at v >= 8 of 16; 1300 images to train, 197 to validate, 300 to test. A dense
VAE 64-256-256-8-256-256-64 with ReLU, Bernoulli likelihood and a diagonal Gaussian posterior: 171 088 parameters. Adam at 1e-3,
batches of 64, 148 epochs, no schedule; the last epoch's model on both sides. Each side keeps its own initialisation and its own
trainer (pythae's last batch of an epoch is a short one, ours drops it: 21 and 20 steps an epoch).

The figure: -1/N sum_n log 1/K sum_k p(x_n, z_nk) / q(z_nk | x_n) in nats an image at K = 500 (Burda et al. 2015,
arXiv:1509.00519, equation 8), computed for both by one function, :func:`iwae_nll`, on the same noise.

Expected, means of three seeds (one seed moves them by about 0.1): pythae 16.88, ours 16.77 on the splits of our `digits` data
set. The splits matter more: cut from scikit-learn's own order (`--order published`: other writers in the test part), pythae
17.28, ours 17.21.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from time import perf_counter

import jax
import numpy as np
import torch
from flax import nnx
from pythae_runs import pythae_trainer, pythae_vae, quiet
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from torch_vaes import dense_vae

from artifex.modalities.image.datasets.digits import Digits, DigitsConfig
from artifex.training import Trainer, TrainerConfig
from artifex.vae import VAE, DecoderConfig, EncoderConfig, VAEConfig

SHAPE, HIDDEN, LATENT_DIM = (8, 8, 1), (256, 256), 8
BATCH, LEARNING_RATE, EPOCHS, SAMPLES = 64, 1e-3, 148, 500

Encode = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Decode = Callable[[np.ndarray], np.ndarray]
Splits = dict[str, np.ndarray]


def main() -> None:
    """Train both for every seed and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings of each")
    parser.add_argument(
        "--order", choices=["artifex", "published"], default="artifex", help="of the images before they are split"
    )
    parser.add_argument("--quick", action="store_true", help="few epochs: shows that it runs, not how well")
    arguments = parser.parse_args()
    splits, epochs = digits(arguments.order), 2 if arguments.quick else EPOCHS
    print(f"digits in {arguments.order} order, {epochs} epochs: IWAE-{SAMPLES} and ELBO in nats, training in s\n")
    print("| seed | pythae: IWAE | ELBO | s | Artifex: IWAE | ELBO | s |\n|---|---|---|---|---|---|---|")
    rows = []
    for seed in range(arguments.seeds):
        rows.append((*pythae_figures(splits, seed, epochs), *artifex_figures(splits, seed, epochs)))
        print(_row(str(seed), rows[-1]), flush=True)
    print(_row("mean", [statistics.mean(column) for column in zip(*rows, strict=True)]))


def digits(order: str) -> Splits:
    """Binary images ``(N, 8, 8, 1)`` by split."""
    if order == "published":
        stored = (load_digits().images[..., None] / 16).astype(np.float32)
        images = {"train": stored[:1300], "validation": stored[1300:1497], "test": stored[1497:]}
    else:
        data = Digits(DigitsConfig())
        images = {split: data.arrays(split)["x"] for split in data.splits}
    return {split: (x >= 0.5).astype(np.float32) for split, x in images.items()}


def iwae_nll(encode: Encode, decode: Decode, x: np.ndarray, samples: int = SAMPLES) -> tuple[float, float]:
    """Minus the importance-weighted bound at ``samples`` samples, and minus the ELBO, in nats an image; in float64.

    ``encode`` gives mean and log variance ``(N, L)``, ``decode`` logits of the shape of ``x``.
    """
    rng = np.random.default_rng(0)
    mean, log_variance = (a.astype(np.float64) for a in encode(x))
    log_weights = []
    for _ in range(samples):
        noise = rng.standard_normal(mean.shape)
        z = mean + np.exp(log_variance / 2) * noise
        logits = decode(z.astype(np.float32)).astype(np.float64)
        log_likelihood = np.sum(x * logits - np.logaddexp(0, logits), axis=(1, 2, 3))
        log_ratio = 0.5 * np.sum(noise**2 - z**2 + log_variance, axis=1)  # log p(z) - log q(z | x)
        log_weights.append(log_likelihood + log_ratio)
    bound = logsumexp(log_weights, axis=0) - np.log(samples)
    return -float(bound.mean()), -float(np.mean(log_weights))


def pythae_figures(splits: Splits, seed: int, epochs: int) -> tuple[float, float, float]:
    """IWAE, ELBO and seconds of training under pythae's trainer."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # faster than two at this size
    channels_first = {split: x.transpose(0, 3, 1, 2) for split, x in splits.items()}
    vae = pythae_vae(dense_vae((1, 8, 8), HIDDEN, LATENT_DIM), (1, 8, 8), LATENT_DIM)
    settings = {"num_epochs": epochs, "per_device_train_batch_size": BATCH, "learning_rate": LEARNING_RATE, "seed": seed}
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder, quiet():
        pythae_trainer(vae, channels_first["train"], channels_first["validation"], output_dir=folder, **settings).train()
    seconds = perf_counter() - start
    vae.eval()

    def encode(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        posterior = vae.encoder(torch.as_tensor(x))
        return posterior.embedding.numpy(), posterior.log_covariance.numpy()

    def decode(z: np.ndarray) -> np.ndarray:
        return vae.decoder.body(torch.as_tensor(z)).numpy().reshape(-1, *SHAPE)  # one channel: either order is the same

    with torch.no_grad():
        return *iwae_nll(encode, decode, splits["test"]), seconds


def artifex_figures(splits: Splits, seed: int, epochs: int) -> tuple[float, float, float]:
    """IWAE, ELBO and seconds of training under our trainer."""
    config = VAEConfig(
        encoder=EncoderConfig(input_shape=SHAPE, latent_dim=LATENT_DIM, hidden_dims=HIDDEN),
        decoder=DecoderConfig(hidden_dims=HIDDEN),
    )
    vae = VAE(config, rngs=nnx.Rngs(seed))
    training = TrainerConfig(epochs=epochs, batch_size=BATCH, optimizer={"learning_rate": LEARNING_RATE})
    start = perf_counter()
    Trainer(vae, training, seed=seed).fit({"x": splits["train"]}, {"x": splits["validation"]})
    seconds = perf_counter() - start
    encode, decode = jax.jit(lambda x: tuple(vae.encode(x))), jax.jit(lambda z: vae.decoder(z))
    return *iwae_nll(lambda x: tuple(map(np.asarray, encode(x))), lambda z: np.asarray(decode(z)), splits["test"]), seconds


def _row(name: str, figures) -> str:
    return f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |"


if __name__ == "__main__":
    main()
