# SPDX-License-Identifier: Apache-2.0
"""Many samples of a SmolVLA from one pass of its vision-language model.

The prefix (images, instruction, state) does not depend on the noise: its keys and values are
computed once and shared by all samples, and by all members whose vision-language model is the same.
"""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Prefix:
    """What the vision-language model made of one observation.

    Attributes:
        cache: Keys and values by layer.
        mask: (1, L) which positions are not padding.
        latent: (D,) mean over these positions of the last layer's normalised output.
    """

    cache: dict[int, dict[str, torch.Tensor]]
    mask: torch.Tensor
    latent: torch.Tensor


def encode(policy: Any, batch: dict[str, Any]) -> Prefix:
    """Runs the vision-language model.

    Args:
        policy: SmolVLAPolicy.
        batch: Pre-processed observation, of batch size one.

    Returns:
        The prefix.
    """
    from lerobot.policies.smolvla.modeling_smolvla import make_att_2d_masks

    model = policy.model
    images, image_masks = policy.prepare_images(batch)
    embedded, mask, attention = model.embed_prefix(
        images,
        image_masks,
        batch["observation.language.tokens"],
        batch["observation.language.attention_mask"],
        state=policy.prepare_state(batch),
    )
    outputs, cache = model.vlm_with_expert.forward(
        attention_mask=make_att_2d_masks(mask, attention),
        position_ids=torch.cumsum(mask, dim=1) - 1,
        past_key_values=None,
        inputs_embeds=[embedded, None],
        use_cache=True,
        fill_kv_cache=True,
    )
    weights = mask[0, :, None].to(outputs[0].dtype)
    latent = (outputs[0][0] * weights).sum(dim=0) / weights.sum()
    return Prefix(cache, mask, latent)


def denoise(policy: Any, prefix: Prefix, noise: torch.Tensor) -> torch.Tensor:
    """Integrates the flow from noise to actions, all samples in one batch.

    Source: Shukor et al., SmolVLA, 2025, section 3.1 (flow matching); Euler steps from time 1 to 0.

    Args:
        policy: SmolVLAPolicy.
        prefix: Of the observation.
        noise: (K, H, padded action).

    Returns:
        (K, H, A) normalised actions, without padding.
    """
    count = len(noise)
    cache = {
        layer: {name: tensor.expand(count, *tensor.shape[1:]) for name, tensor in entry.items()}
        for layer, entry in prefix.cache.items()
    }
    mask = prefix.mask.expand(count, -1)
    steps = policy.config.num_steps
    actions = noise
    for step in range(steps):
        time = torch.full((count,), 1.0 - step / steps, device=noise.device)
        velocity = policy.model.denoise_step(mask, cache, actions, time)
        actions = actions - velocity / steps
    return actions[:, :, : policy.config.action_feature.shape[0]]
