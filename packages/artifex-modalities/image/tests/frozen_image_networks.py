"""What the reference networks make of random weights: ``python frozen_image_networks.py`` writes ``frozen_image_networks.npz``.

Needs PyTorch, torchvision, pytorch-fid, clean-fid, torch-fidelity, lpips and stlpips-pytorch (the last five without their
requirements). The weights come from a formula (:func:`arrays`), so that only their names and shapes are frozen.
"""

from __future__ import annotations

import io
import json
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np

FROZEN = Path(__file__).with_suffix(".npz")
KINDS = ("inception", "alex", "vgg", "st-alex", "st-vgg")


def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter, the same wherever it is made: RandomState keeps its streams for ever (NEP 19)."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    drawn = random.standard_normal(shape)
    if name.startswith("lin"):
        return np.abs(drawn).astype(np.float32)
    if len(shape) > 1:
        return (drawn * np.sqrt(2.0 / np.prod(shape[1:]))).astype(np.float32)
    return (0.1 * drawn + (name.endswith("bn.weight"))).astype(np.float32)


def arrays(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """A state dict."""
    return {name: array(name, tuple(shape)) for name, shape in shapes.items()}


def images(size: int = 64) -> np.ndarray:
    """Two pairs of smooth images in [0, 1]: ``(2, 2, size, size, 3)``."""
    random = np.random.RandomState(7)
    coarse = random.uniform(size=(2, 2, 8, 8, 3))
    fine = coarse.repeat(size // 8, axis=2).repeat(size // 8, axis=3) + 0.1 * random.standard_normal((2, 2, size, size, 3))
    return np.clip(fine, 0.0, 1.0).astype(np.float32)


def _torchvision() -> Any:
    """torchvision with a PyTorch for the CPU: its compiled operators may not load, and none of them is used here."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        import torchvision

        torchvision._keep = library
    for name in ("IPython", "torchsummary"):  # stlpips-pytorch imports them and does not use them
        sys.modules.setdefault(name, types.SimpleNamespace(embed=None, summary=None))
    return torchvision


def _network(kind: str) -> Any:
    torchvision = _torchvision()
    if kind == "inception":
        from pytorch_fid import inception

        network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
        network.Mixed_5b = inception.FIDInceptionA(192, pool_features=32)
        network.Mixed_5c = inception.FIDInceptionA(256, pool_features=64)
        network.Mixed_5d = inception.FIDInceptionA(288, pool_features=64)
        network.Mixed_6b = inception.FIDInceptionC(768, channels_7x7=128)
        network.Mixed_6c = inception.FIDInceptionC(768, channels_7x7=160)
        network.Mixed_6d = inception.FIDInceptionC(768, channels_7x7=160)
        network.Mixed_6e = inception.FIDInceptionC(768, channels_7x7=192)
        network.Mixed_7b = inception.FIDInceptionE_1(1280)
        network.Mixed_7c = inception.FIDInceptionE_2(2048)
        return network.eval()
    if kind.startswith("st-"):
        from stlpips_pytorch import stlpips

        return stlpips.LPIPS(net=kind[3:], variant="shift_tolerant", pretrained=False, verbose=False).eval()
    import lpips

    return lpips.LPIPS(net=kind, pnet_rand=True, pretrained=False, verbose=False).eval()


def _load(network: Any, shapes: dict[str, list[int]]) -> None:
    import torch

    own = network.state_dict()
    own.update({name: torch.from_numpy(value) for name, value in arrays(shapes).items()})
    network.load_state_dict(own)


def _shapes(network: Any) -> dict[str, list[int]]:
    left_out = ("num_batches_tracked", "scaling_layer", ".filt")
    named = network.state_dict()
    heads = {name for name in named if name.startswith("lins")}  # the same as lin0 ... lin4
    return {
        name: list(value.shape) for name, value in named.items() if name not in heads and not any(p in name for p in left_out)
    }


def case(kind: str) -> dict[str, np.ndarray]:
    """Names and shapes of the weights, and outputs for :func:`images`."""
    import torch

    network = _network(kind)
    shapes = _shapes(network)
    _load(network, shapes)
    given = {"shapes": np.array(json.dumps(shapes))}
    x = torch.from_numpy(images()).movedim(-1, 2)
    with torch.no_grad():
        if kind != "inception":
            return given | {"distance": network(x[0], x[1], normalize=True).flatten().numpy()}
        return given | _inception(network, x[0])


def _inception(network: Any, x: Any) -> dict[str, np.ndarray]:
    """Pooled features by pytorch-fid's own class, and logits without bias from them."""
    import torch
    from pytorch_fid import inception

    kept = inception.fid_inception_v3
    inception.fid_inception_v3 = lambda: network
    try:
        features = inception.InceptionV3()(x)[0][:, :, 0, 0]
    finally:
        inception.fid_inception_v3 = kept
    return {"features": features.numpy(), "logits": torch.matmul(features, network.fc.weight.T).numpy()}


def resized(convention: str, x: np.ndarray, size: int) -> np.ndarray:
    """One image ``(h, w, 3)`` in [0, 1] as a reference implementation gives it to the network."""
    import torch

    _torchvision()
    if convention == "clean-fid":
        from cleanfid.resize import make_resizer

        return (make_resizer("PIL", False, "bicubic", (size, size))(255 * x) - 128) / 128
    batch = torch.from_numpy(x).movedim(-1, 0)[None]
    if convention == "tensorflow":
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

        made = (interpolate_bilinear_2d_like_tensorflow1x(255 * batch, size=(size, size), align_corners=False) - 128) / 128
    else:
        made = 2 * torch.nn.functional.interpolate(batch, size=(size, size), mode="bilinear", align_corners=False) - 1
    return made[0].movedim(0, -1).numpy()


def torch_files() -> dict[str, np.ndarray]:
    """Small state dicts in both formats, as bytes, and what is in them."""
    import torch

    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {
        "whole": whole,
        "part": whole.T[1:4, ::2],
        "half": whole.half(),
        "counts": torch.tensor([3, -1]),
        "n": torch.tensor(7),
    }
    made = {f"value/{name}": value.numpy() for name, value in state.items()}
    for name, zipped in (("new", True), ("old", False)):
        buffer = io.BytesIO()
        torch.save({**state, "epoch": 3}, buffer, _use_new_zipfile_serialization=zipped)
        made[f"file/{name}"] = np.frombuffer(buffer.getvalue(), np.uint8)
    return made


RESIZED = tuple((c, h, w) for c in ("pytorch-fid", "clean-fid", "tensorflow") for h, w in ((8, 13), (40, 33)))


def resize_input(height: int, width: int) -> np.ndarray:
    """An image ``(h, w, 3)``."""
    return np.random.RandomState(height).uniform(size=(height, width, 3)).astype(np.float32)


if __name__ == "__main__":
    found = {f"{kind}/{name}": value for kind in KINDS for name, value in case(kind).items()}
    found |= {f"torch/{name}": value for name, value in torch_files().items()}
    found |= {f"resize/{c}/{h}/{w}": resized(c, resize_input(h, w), 19) for c, h, w in RESIZED}
    np.savez_compressed(FROZEN, **found)
