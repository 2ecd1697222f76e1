"""The same flows in Artifex and in its peers, as equal as each library's own classes make them.

`nsf` and `maf` are autoregressive, of stored order and backwards in turn; `nsf_random` and `maf_random` have orders drawn for
each layer; `nsf_coupling` and `real_nvp` are coupling flows; networks are plain multilayer perceptrons
(masked ones), in every library one network a layer. What differs, because a library has nothing nearer: normflows' splines
sit on residual networks of one block, which is one hidden layer more; FlowJAX permutes elements at random between layers
and its coupling layers pass the first half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SHAPES = {
    "nsf": {"dim": 64, "layers": 5, "hidden": (128, 128)},
    "nsf_coupling": {"dim": 64, "layers": 5, "hidden": (128, 128)},
    "maf": {"dim": 64, "layers": 5, "hidden": (128, 128)},
    "real_nvp": {"dim": 784, "layers": 8, "hidden": (256, 256)},
}
BINS, BOUND = 8, 5.0


@dataclass(frozen=True)
class TorchFlow:
    """A module, and what is asked of it."""

    module: Any
    log_prob: Callable[[Any], Any]
    sample: Callable[[int], Any]


def zuko_flow(kind: str, dim: int, layers: int, hidden: tuple[int, ...]) -> TorchFlow:
    from zuko.flows import MAF, NSF, RealNVP

    sizes: dict[str, Any] = {"transforms": layers, "hidden_features": hidden}
    flow = {
        "nsf": lambda: NSF(dim, bins=BINS, **sizes),
        "nsf_coupling": lambda: NSF(dim, bins=BINS, passes=2, **sizes),
        "nsf_random": lambda: NSF(dim, bins=BINS, randperm=True, **sizes),
        "maf": lambda: MAF(dim, **sizes),
        "maf_random": lambda: MAF(dim, randperm=True, **sizes),
        "real_nvp": lambda: RealNVP(dim, **sizes),
    }[kind]()
    return TorchFlow(flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))


def nflows_flow(kind: str, dim: int, layers: int, hidden: tuple[int, ...]) -> TorchFlow:
    import torch
    from nflows.distributions import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import (
        AffineCouplingTransform,
        CompositeTransform,
        MaskedAffineAutoregressiveTransform,
        MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
        PiecewiseRationalQuadraticCouplingTransform,
        ReversePermutation,
    )

    class Network(MLP):
        hidden_features = hidden[-1]  # by which the splines scale their parameters down

        def forward(self, inputs, context=None):
            del context  # which coupling layers hand on, and this network does not take
            return super().forward(inputs)

    made = {"features": dim, "hidden_features": hidden[0], "num_blocks": len(hidden) - 1, "use_residual_blocks": False}
    spline = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
    transforms: list[Any] = []
    for i in range(layers):
        mask = torch.tensor([1.0 if (place + i) % 2 else -1.0 for place in range(dim)])
        network = lambda n_in, n_out: Network((n_in,), (n_out,), hidden)  # noqa: E731
        if kind == "nsf":
            transforms.append(MaskedPiecewiseRationalQuadraticAutoregressiveTransform(**made, **spline))
        elif kind == "maf":
            transforms.append(MaskedAffineAutoregressiveTransform(**made))
        elif kind == "nsf_coupling":
            transforms.append(PiecewiseRationalQuadraticCouplingTransform(mask, network, **spline))
        else:
            transforms.append(AffineCouplingTransform(mask, network))
        if kind in ("nsf", "maf"):
            transforms.append(ReversePermutation(dim))
    flow = Flow(CompositeTransform(transforms), StandardNormal([dim]))
    return TorchFlow(flow, flow.log_prob, flow.sample)


def normflows_flow(kind: str, dim: int, layers: int, hidden: tuple[int, ...]) -> TorchFlow:
    import normflows as nf

    width, flows = hidden[0], []
    for i in range(layers):
        if kind == "nsf":
            flows.append(nf.flows.AutoregressiveRationalQuadraticSpline(dim, 1, width, num_bins=BINS, tail_bound=BOUND))
        elif kind == "nsf_coupling":
            spline = nf.flows.CoupledRationalQuadraticSpline
            flows.append(spline(dim, 1, width, num_bins=BINS, tail_bound=BOUND, reverse_mask=bool(i % 2)))
        elif kind == "maf":
            layer = nf.flows.MaskedAffineAutoregressive(dim, width, num_blocks=1, use_residual_blocks=False)
            flows.append(nf.flows.Reverse(layer))  # its own direction is that of an inverse autoregressive flow
        else:
            flows.append(nf.flows.AffineCouplingBlock(nf.nets.MLP([dim // 2, *hidden, dim], init_zeros=True)))
        if kind != "nsf_coupling":
            flows.append(nf.flows.Permute(dim, mode="swap"))
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(dim, trainable=False), flows)
    return TorchFlow(flow, flow.log_prob, lambda n: flow.sample(n)[0])


TORCH = {"zuko": zuko_flow, "nflows": nflows_flow, "normflows": normflows_flow}


def flowjax_flow(kind: str, dim: int, layers: int, hidden: tuple[int, ...], seed: int = 0) -> Any:
    """An equinox module with `log_prob(x)` and `sample(key, (n,))`."""
    import jax
    import jax.numpy as jnp
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow, masked_autoregressive_flow

    build = masked_autoregressive_flow if kind in ("nsf", "maf") else coupling_flow
    spline = {"transformer": RationalQuadraticSpline(knots=BINS, interval=BOUND)} if kind.startswith("nsf") else {}
    return build(
        jax.random.key(seed),
        base_dist=Normal(jnp.zeros(dim)),
        flow_layers=layers,
        nn_width=hidden[0],
        nn_depth=len(hidden),
        **spline,
    )


def artifex_flow(kind: str, dim: int, layers: int, hidden: tuple[int, ...], seed: int = 0) -> Any:
    """Our model of the same make: with a `reach` for data that are not standardised, and splines as flat as the peers'."""
    from flax import nnx

    from artifex.core import create_model
    from artifex.flow import MAFConfig, NeuralSplineFlowConfig, RealNVPConfig

    sizes: dict[str, Any] = {"input_dim": dim, "num_transforms": layers, "hidden_dims": hidden, "reach": BOUND}
    spline: dict[str, Any] = {"bins": BINS, "bound": BOUND, "min_slope": 1e-3}
    config = {
        "nsf": lambda: NeuralSplineFlowConfig(**sizes, **spline),
        "nsf_coupling": lambda: NeuralSplineFlowConfig(**sizes, **spline, layer="coupling"),
        "nsf_random": lambda: NeuralSplineFlowConfig(**sizes, **spline, ordering="random"),
        "maf": lambda: MAFConfig(**sizes),
        "maf_random": lambda: MAFConfig(**sizes, ordering="random"),
        "real_nvp": lambda: RealNVPConfig(
            input_dim=dim, num_coupling_layers=layers, coupling_network={"hidden_dims": hidden}, reach=BOUND
        ),
    }[kind]()
    return create_model(config, rngs=nnx.Rngs(seed))
