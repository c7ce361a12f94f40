"""The table: which attention module has which layout."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, partial

from torch import nn

from explorer.attention.layouts import placers
from explorer.attention.layouts.operations import Placer
from explorer.blocks import Block
from explorer.kinds import MapKind
from explorer.messages import Message, listed, sentences


@dataclass(frozen=True)
class Placing:
    """One line of the table: what the layout is called, who places it, and which child modules make gates."""

    layout: str
    place: Placer = field(repr=False)
    gates: tuple[str, ...] = ()
    #: Rearranges the features before the attention modules inside it see them, so it places their maps.
    encloses: bool = False
    #: Has no softmax, but scores that `torch.nn.functional.normalize` makes comparable over the positions, axis 1.
    normalised: bool = False


_TALKING = Message("talking heads: after this softmax the heads are mixed before they weigh the values")
_LAMBDA = Message("softmax over keys, one picture a key channel; a lambda layer has no query map")
_TOKENS = Placing(Message("tokens"), placers.tokens)
_POOLED = Placing(Message("pooled keys"), placers.tokens)
_CLASS = Placing(Message("pooling query"), placers.tokens)
_CHANNELS = Placing(Message("channel"), placers.channels)
_SQUEEZE = Placing(Message("channel gate"), placers.squeezed, ("gate",))

_SIGMOID = Placing(Message("channel gate"), placers.squeezed, ("sigmoid",))

#: How an inserted block's own map lies on the image, by its kind; of one that is made of modules below, theirs count.
KINDS_OF_BLOCKS: dict[MapKind, Placing] = {
    "pairwise": Placing(Message("tokens"), placers.whole_map),
    "axial": Placing(Message("rows and columns"), placers.axes),
    "context": Placing(Message("context scores"), placers.one_context),
    "gate": Placing(Message("gate"), placers.gate_pictures),
    "channel": _CHANNELS,
}

#: Which attention module has which layout on the image; key: source file without ending, dot, class.
TABLE: dict[str, Placing] = {
    # plain token sequences
    "attention.Attention": _TOKENS,
    "attention.AttentionRope": _TOKENS,
    "beit.Attention": _TOKENS,
    "eva.EvaAttention": _TOKENS,
    "vision_transformer.ParallelScalingBlock": _TOKENS,
    "vision_transformer.DiffParallelScalingBlock": Placing(Message("tokens"), placers.several_softmaxes),
    "vision_transformer_relpos.RelPosAttention": _TOKENS,
    "volo.Attention": _TOKENS,
    "visformer.Attention": _TOKENS,
    "metaformer.Attention": _TOKENS,
    "fastvit.Attention": _TOKENS,
    "shvit.SHSA": _TOKENS,
    "lowformer.ConvAttention": _TOKENS,
    "cpubone.ConvAttention": _TOKENS,
    "efficientformer.Attention": _TOKENS,
    "efficientformer_v2.Attention2d": Placing(Message("tokens"), partial(placers.tokens, note=_TALKING)),
    "efficientformer_v2.Attention2dDownsample": Placing(Message("pooled queries"), placers.tokens),
    "levit.Attention": _TOKENS,
    "levit.AttentionDownsample": Placing(Message("pooled queries"), placers.tokens),
    "convit.GPSA": Placing(Message("tokens"), placers.gated_mixture),
    "convit.MHSA": _TOKENS,
    "cait.TalkingHeadAttn": Placing(Message("tokens"), partial(placers.tokens, note=_TALKING)),
    "attention2d.Attention2d": _TOKENS,
    "bottleneck_attn.BottleneckAttn": Placing(Message("tokens"), partial(placers.tokens, order="(b g h)")),
    "non_local_attn.NonLocalAttn": Placing(Message("tokens"), placers.whole_map),
    "diff_attention.DiffAttention": Placing(Message("tokens"), placers.several_softmaxes),
    "tnt.Attention": Placing(Message("windows and tokens"), placers.inner_and_outer),
    "gemma4_vit.Gemma4Attention": _TOKENS,
    "activation.MultiheadAttention": replace(_TOKENS),  # torch's own
    # one query that pools
    "cait.ClassAttn": _CLASS,
    "volo.ClassAttention": _CLASS,
    "crossvit.CrossAttention": _CLASS,
    "attention_pool.AttentionPoolLatent": _CLASS,
    "attention_pool.AttentionPoolPrr": _CLASS,
    "attention_pool2d.RotAttentionPool2d": Placing(
        Message("tokens"), partial(placers.tokens, prefix_name=Message("mean of all places"))
    ),
    "attention_pool2d.AttentionPool2d": Placing(
        Message("tokens"), partial(placers.tokens, prefix_name=Message("mean of all places"))
    ),
    # keys (or queries) on a reduced grid
    "pvt_v2.Attention": _POOLED,
    "twins.GlobalSubSampleAttn": _POOLED,
    "mvitv2.MultiScaleAttention": _POOLED,
    "mvitv2.MultiScaleAttentionPoolFirst": _POOLED,
    "attention2d.MultiQueryAttention2d": _POOLED,
    "nextvit.EfficientAttention": Placing(Message("keys pooled along reading order"), placers.averaged_runs),
    # windows
    "swin_transformer.WindowAttention": Placing(
        Message("windows, shifted"), partial(placers.block_windows, block="SwinTransformerBlock")
    ),
    "swin_transformer_v2.WindowAttention": Placing(
        Message("windows, shifted"), partial(placers.block_windows, block="SwinTransformerV2Block")
    ),
    "swin_transformer_v2_cr.WindowMultiHeadAttention": Placing(
        Message("windows, shifted"), partial(placers.block_windows, block="SwinTransformerV2CrBlock")
    ),
    "davit.WindowAttention": Placing(
        Message("windows"), partial(placers.block_windows, block="SpatialBlock", channels_last=False)
    ),
    "gcvit.WindowAttentionGlobal": Placing(
        Message("windows"), partial(placers.block_windows, block="GlobalContextVitBlock")
    ),
    "tiny_vit.Attention": Placing(Message("windows"), partial(placers.block_windows, block="TinyVitBlock")),
    "vision_transformer_sam.Attention": Placing(
        Message("windows and tokens"), partial(placers.block_windows, block="Block", order="(b g h)")
    ),
    "twins.LocallyGroupedAttn": Placing(Message("windows"), placers.own_windows),
    "iformer.SHMA": Placing(Message("windows and tokens"), placers.iformer_windows),
    "maxxvit.Attention2d": Placing(Message("windows and dilated grid"), placers.maxvit),
    "maxxvit.AttentionCl": Placing(Message("windows and dilated grid"), placers.maxvit),
    "maxvit.RelativePositionalMultiHeadAttention": Placing(
        Message("windows and dilated grid"), placers.torchvision_maxvit
    ),
    "efficientvit_msra.CascadedGroupAttention": Placing(Message("windows"), placers.cascaded_groups),
    "nest.Attention": Placing(Message("windows"), placers.nested_blocks),
    "hieradet_sam2.MultiScaleAttention": Placing(Message("windows"), placers.sam2_windows),
    "hiera.MaskUnitAttention": Placing(Message("mask units"), placers.mask_units),
    "halo_attn.HaloAttn": Placing(Message("halo"), placers.halo),
    "volo.OutlookAttention": Placing(Message("outlook"), placers.outlook),
    # patch-unfolded
    "mobilevit.MobileVitBlock": Placing("patch-unfolded", placers.pixel_phases, encloses=True),
    "mobilevit.LinearSelfAttention": Placing(Message("context scores"), placers.phase_scores),
    # a score a position, no query
    "coat.FactorAttnConvRelPosEnc": Placing(Message("context scores"), placers.context),
    "global_context.GlobalContext": Placing(Message("context scores"), placers.context),
    "lambda_layer.LambdaLayer": Placing(Message("context scores"), partial(placers.context, note=_LAMBDA)),
    "swiftformer.EfficientAdditiveAttention": Placing(Message("context scores"), placers.additive, normalised=True),
    # between channels
    "xcit.XCA": _CHANNELS,
    "davit.ChannelAttention": _CHANNELS,
    "davit.ChannelAttentionV2": _CHANNELS,
    "edgenext.CrossCovarianceAttn": _CHANNELS,
    "selective_kernel.SelectiveKernelAttn": Placing(Message("channel"), placers.branches),
    "split_attn.RadixSoftmax": Placing(Message("channel"), placers.branches),
    # gates
    "coord_attn.CoordAttn": Placing(Message("gate"), placers.gate_strips, ("gate",)),
    "coord_attn.EfficientLocalAttn": Placing(Message("gate"), placers.gate_strips, ("gate",)),
    "coord_attn.SimpleCoordAttn": Placing(Message("gate"), placers.gate_pictures, ("gate",)),
    "coord_attn.StripAttn": Placing(Message("gate"), placers.gate_pictures, ("gate",)),
    "cbam.SpatialAttn": Placing(Message("gate"), placers.gate_pictures, ("gate",)),
    "cbam.LightSpatialAttn": Placing(Message("gate"), placers.gate_pictures, ("gate",)),
    "cbam.ChannelAttn": _SQUEEZE,
    "gather_excite.GatherExcite": Placing(Message("gate"), placers.gate_pictures, ("gate",)),
    "squeeze_excite.SEModule": _SQUEEZE,
    "squeeze_excite.EffectiveSEModule": _SQUEEZE,
    "squeeze_excite.SqueezeExciteCl": _SQUEEZE,
    "_efficientnet_blocks.SqueezeExcite": _SQUEEZE,
    "senet.SEModule": _SIGMOID,
    "hgnet.EseModule": _SIGMOID,
    "eca.EcaModule": _SQUEEZE,
    "eca.CecaModule": _SQUEEZE,
}


def row_of(module: nn.Module) -> Placing | None:
    """The table's row for a module, by its class or the first of its bases that has one."""
    row = _row_of(type(module).__mro__)
    if row is not None:
        return row
    if isinstance(module, Block) and module.kind is not None:
        inner = (child for child in module.modules() if child is not module)
        if all(row_of(child) is None for child in inner):
            return replace(KINDS_OF_BLOCKS[module.kind], gates=module.gates)
    return None


@cache
def _row_of(classes: tuple[type, ...]) -> Placing | None:
    rows = (TABLE.get(f"{base.__module__.rsplit('.', 1)[-1]}.{base.__name__}") for base in classes)
    return next((row for row in rows if row is not None), None)


def layouts_of(module: nn.Module) -> tuple[str, ...]:
    """Which layouts do a model's attention modules have, in the order of the model, each once? Empty for none."""
    rows = (row_of(child) for child in module.modules())
    return tuple(dict.fromkeys(row.layout for row in rows if row is not None))


def why_none(module: nn.Module) -> str:
    """Why a model shows no attention map, in a sentence."""
    blocks = (child.no_map for child in module.modules() if isinstance(child, Block) and child.no_map)
    if reasons := sentences(*dict.fromkeys(blocks)):
        return reasons
    found = mixers(module)
    if not found:
        return Message("This explorer does not know what mixes its positions.")
    ran = [Message("Its attention modules ran no softmax and no gate.")] if layouts_of(module) else []
    known = Message("What mixes its positions, as far as this explorer knows: {found}.", found=listed(found))
    return sentences(*ran, known)


#: What mixes positions where no map of it is shown; key as in `TABLE`.
MIXERS: dict[str, str] = {
    "mlp_mixer.MixerBlock": Message("an MLP over positions"),
    "mlp_mixer.ResBlock": Message("a linear layer over positions"),
    "mlp_mixer.SpatialGatingUnit": Message("a linear layer over positions that acts as a gate"),
    "sequencer.LSTM2d": Message("LSTMs along rows and columns"),
    "rnn.RNNBase": Message("a recurrent network"),
    "efficientvit_mit.LiteMLA": Message("linear attention with ReLU (it forms no weights that could be drawn)"),
    "non_local_attn.BilinearAttnTransform": Message(
        "bilinear attention (its matrices over rows and columns are not drawn)"
    ),
    "focalnet.FocalModulation": Message("focal modulation"),
    "efficientvim.HSMSSD": Message("a state space model"),
    "metaformer.Pooling": Message("average pooling"),
    "efficientformer.Pooling": Message("average pooling"),
}


def mixers(module: nn.Module) -> tuple[str, ...]:
    """What mixes a model's positions, apart from what its maps show, in words; empty where it is not known."""
    found: dict[str, None] = {}
    for child in module.modules():
        for base in type(child).__mro__:
            words = MIXERS.get(f"{base.__module__.rsplit('.', 1)[-1]}.{base.__name__}")
            if words is not None:
                # Two-dimensional recurrent networks are made of one-dimensional ones.
                if words != MIXERS["rnn.RNNBase"] or MIXERS["sequencer.LSTM2d"] not in found:
                    found[words] = None
                break
    if any(_convolves(child) for child in module.modules()):
        found["convolutions"] = None
    return tuple(found)


def _convolves(module: nn.Module) -> bool:
    """Whether it is a convolution whose windows overlap: patches that are cut out side by side mix nothing."""
    if not isinstance(module, nn.modules.conv._ConvNd):
        return False
    return any(size > step for size, step in zip(module.kernel_size, module.stride))
