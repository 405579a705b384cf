# SPDX-License-Identifier: Apache-2.0
"""LeRobot's SmolVLA: K noise samples of one checkpoint, or an ensemble of checkpoints."""

from pathlib import Path
from typing import Any, ClassVar

import torch

from salus_policies.backends.base import BackendError, Observation, PolicyInfo
from salus_policies.backends.checkpoints import resolve
from salus_policies.backends.lerobot.backend import LeRobotBackend, Sampling
from salus_policies.backends.lerobot.loading import Member, load_member
from salus_policies.backends.smolvla.sampler import Prefix, denoise, encode
from salus_policies.policy_config import PolicyConfig

SHARED = ("model.vlm_with_expert.vlm.", "model.state_proj.")
"""Weights that the prefix depends on."""
TOLERANCE = 1e-4
"""Allowed difference to the library's own call, in normalised units."""


class SmolVlaBackend(LeRobotBackend):
    """SmolVLA by `from_pretrained`, with its own pre- and post-processing.

    Latents: "prefix", the mean over the prefix of the vision-language model's last layer; "expert",
    the mean over samples and chunk of the action expert's last layer in the last denoising step.
    """

    kind: ClassVar[str] = "smolvla"
    latents: ClassVar[tuple[str, ...]] = ("prefix", "expert")

    def __init__(
        self,
        members: list[Member],
        sampling: Sampling,
        config: PolicyConfig,
        info: PolicyInfo,
        precision: torch.dtype,
    ):
        super().__init__(members, sampling, config, info, precision)
        self.shares_prefix = _share_prefix(members)
        self._expert: torch.Tensor | None = None
        if sampling.latent == "expert":
            expert = members[0].policy.model.vlm_with_expert.lm_expert
            expert.norm.register_forward_hook(self._keep_expert)

    def _keep_expert(self, module: Any, inputs: Any, output: torch.Tensor) -> None:
        self._expert = output

    @classmethod
    def _load_member(cls, folder: Path, device: str, sampling: Sampling, base: Path) -> Member:
        changes: dict[str, Any] = {"load_vlm_weights": False, "rtc_config": None}
        overrides = {}
        if sampling.steps is not None:
            changes["num_steps"] = sampling.steps
        if sampling.vlm:
            vlm = str(resolve(sampling.vlm, cls.kind, base))
            changes["vlm_model_name"] = vlm
            overrides["tokenizer_processor"] = {"tokenizer_name": vlm}
        member = load_member(cls.kind, folder, device, changes, overrides)
        if member.config.adapt_to_pi_aloha:
            raise BackendError(f"checkpoint {folder} is for two Aloha arms (adapt_to_pi_aloha)")
        return member

    @classmethod
    def _latent_size(cls, member: Member, latent: str) -> int:
        model = member.policy.model.vlm_with_expert
        if latent == "expert":
            return int(model.expert_hidden_size)
        return int(model.config.text_config.hidden_size)

    def _noise_shape(self) -> tuple[int, int]:
        config = self.members[0].config
        return config.chunk_size, config.max_action_dim

    def _sample(
        self, batches: list[dict[str, Any]], noise: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """See LeRobotBackend: the prefix once if it can be shared, the expert per member."""
        prefixes: list[Prefix] = []
        drawn = []
        expert = None
        for member, batch in zip(self.members, batches, strict=True):
            if not prefixes or not self.shares_prefix:
                prefixes.append(encode(member.policy, batch))
            drawn.append(denoise(member.policy, prefixes[-1], noise))
        if self._expert is not None:
            expert, self._expert = self._expert.mean(dim=(0, 1)), None
        latent = {"prefix": prefixes[0].latent, "expert": expert, "none": None}
        return drawn, latent[self.sampling.latent]

    def _check_library(self, observation: Observation) -> None:
        """Our prefix and denoising must equal LeRobot's predict_action_chunk."""
        noise = self.noise(0)[:1]
        with torch.inference_mode(), self._arithmetic():
            batches = self.batches(observation)
            ours, _ = self._sample(batches, noise)
            theirs = [
                member.policy.predict_action_chunk(dict(batch), noise=noise)
                for member, batch in zip(self.members, batches, strict=True)
            ]
        tolerance = TOLERANCE if self._precision == torch.float32 else 0.05
        for one, other in zip(ours, theirs, strict=True):
            difference = float((one - other).abs().max())
            if not difference <= tolerance:
                raise BackendError(
                    f"this version of lerobot computes SmolVLA's actions differently than the "
                    f"backend (by {difference:.2g} normalised units): use lerobot 0.4"
                )


def _share_prefix(members: list[Member]) -> bool:
    """Whether all members see alike; then they share the first one's memory, too."""
    first = members[0]
    wanted = {k: v for k, v in first.policy.state_dict().items() if k.startswith(SHARED)}
    for member in members[1:]:
        given = member.policy.state_dict()
        if any(k not in given or not torch.equal(given[k], v) for k, v in wanted.items()):
            return False
        for key, statistics in first.statistics.items():
            other = member.statistics.get(key, {})
            if key != "action" and any(
                name not in other or not torch.equal(other[name], value)
                for name, value in statistics.items()
            ):
                return False
    for member in members[1:]:
        member.policy.model.vlm_with_expert.vlm = first.policy.model.vlm_with_expert.vlm
    return True
