# SPDX-License-Identifier: Apache-2.0
"""Policies that write their action as tokens: OpenVLA and fine-tuned relatives."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from salus_policies.action_adapter import ActionAdapter
from salus_policies.backends.base import (
    BackendError,
    LoadOptions,
    Observation,
    PolicyBackend,
    PolicyInfo,
    PolicyOutput,
    hash_files,
    torch_device,
    torch_precision,
)
from salus_policies.backends.checkpoints import require, resolve
from salus_policies.backends.openvla.tokens import ActionTokens, read_tokens
from salus_policies.options import Options
from salus_policies.policy_config import PolicyConfig, find_config, read_config
from salus_policies.robot import RobotDescription

INSTALL = "pip install -r tools/env/requirements-vla.txt"
PROMPT = "In: What action should the robot take to {instruction}?\nOut:"
EMPTY_TOKEN = 29871
"""Llama's token of an empty word, which OpenVLA was trained to see before an action."""
LARGEST_LATENT = 1024
PROJECTED = 512
"""Size of latents with more than LARGEST_LATENT elements: a window of them would be too much."""
LEAST_DIFFERENCE = 1e-6
"""Least change of a probability from a black image to a white one."""


@dataclass(frozen=True)
class Prompting:
    """What the section `openvla` says.

    Attributes:
        prompt: With {instruction}.
        append_token: Added after the prompt; None: none.
        unnorm_key: Data set whose action statistics are used; empty: the only one.
        bins: Of one action dimension.
        vocabulary: Of the language model; None: from its configuration.
        trust_remote_code: Run the Python code in the checkpoint, as OpenVLA's own needs; only from
            a configuration that the user gives.
    """

    prompt: str
    append_token: int | None
    unnorm_key: str
    bins: int
    vocabulary: int | None
    trust_remote_code: bool

    @classmethod
    def read(cls, options: Options, may_trust: bool) -> "Prompting":
        """Reads the section.

        Args:
            options: The section.
            may_trust: The file is the user's: a checkpoint must not vouch for its own code.

        Raises:
            BackendError: An entry is unknown, out of its range or not the file's to give.
        """
        token = options.integer("append_token", EMPTY_TOKEN, -1)
        found = cls(
            prompt=options.text("prompt", PROMPT),
            append_token=None if token == -1 else token,
            unnorm_key=options.text("unnorm_key", ""),
            bins=options.integer("bins", 256, 2),
            vocabulary=options.integer("vocabulary", None, 2),
            trust_remote_code=options.flag("trust_remote_code", False),
        )
        options.end()
        if "{instruction}" not in found.prompt:
            raise BackendError(f"{options.where}: 'prompt' has no {{instruction}}")
        if found.trust_remote_code and not may_trust:
            raise BackendError(
                f"{options.where}: 'trust_remote_code' does not count in the checkpoint's own "
                "file: read the checkpoint's Python code, then give a copy of this file with the "
                "parameter policy_config (of the policy server: --config)"
            )
        return found


class OpenVlaBackend(PolicyBackend):
    """One model, decoded greedily among its action tokens.

    The latent is the last layer's state at the end of the prompt, before the first action token;
    one of more than 1024 elements is projected to 512 by a fixed random matrix, which keeps
    distances up to a few per cent (Johnson and Lindenstrauss).

    Args:
        model: A vision-language model of transformers.
        processor: Its processor.
        tokens: How it codes actions.
        prompting: How it is asked.
        config: What its actions mean.
        info: Of the same.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        tokens: ActionTokens,
        prompting: Prompting,
        config: PolicyConfig,
        info: PolicyInfo,
    ):
        self._model = model
        self._processor = processor
        self._tokens = tokens
        self._prompting = prompting
        self._config = config
        self._info = info
        self._adapter: ActionAdapter | None = None
        size = _latent_size(model)
        random = np.random.default_rng(0).standard_normal((size, PROJECTED)) / np.sqrt(PROJECTED)
        self._projection = random if size > LARGEST_LATENT else None

    @classmethod
    def load(cls, checkpoint: str, options: LoadOptions) -> "OpenVlaBackend":
        """Loads a folder or hub id; see PolicyBackend.load."""
        transformers = require("transformers", "openvla", INSTALL)
        folder = resolve(checkpoint, "openvla")
        config = read_config(find_config(folder, options.config), "openvla")
        prompting = Prompting.read(config.own, may_trust=bool(options.config))
        if len(config.cameras) != 1 or config.state is not None:
            raise BackendError(f"{config.path}: an openvla policy takes one camera and no state")
        weights_hash = _hash(folder)
        device = torch_device(options.device)
        if options.threads:
            torch.set_num_threads(options.threads)
        kind = getattr(transformers, "AutoModelForImageTextToText", None)
        kind = kind or transformers.AutoModelForVision2Seq
        given = {"trust_remote_code": prompting.trust_remote_code}
        try:
            processor = transformers.AutoProcessor.from_pretrained(folder, **given)
            model = kind.from_pretrained(
                folder,
                torch_dtype=torch_precision(options.precision, device),
                use_safetensors=True,
                **given,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise BackendError(
                f"checkpoint {folder} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        model = model.to(device).eval()
        tokens = read_tokens(
            folder, model.config, prompting.unnorm_key, prompting.bins, prompting.vocabulary
        )
        size = _latent_size(model)
        info = PolicyInfo(
            backend="openvla",
            policy=checkpoint,
            weights_hash=weights_hash,
            cameras=config.camera_sizes,
            action=config.action.action,
            policy_action=config.action.policy_action,
            control_period=config.control_period,
            members=1,
            member_kind="single",
            embedding_size=size if size <= LARGEST_LATENT else PROJECTED,
            has_distribution=True,
            config_hash=config.hash,
            device=device,
        )
        return cls(model, processor, tokens, prompting, config, info)

    @property
    def info(self) -> PolicyInfo:
        """What the policy is, needs and gives."""
        return self._info

    def bind(self, robot: RobotDescription) -> None:
        """Fits the actions to the robot, and tries whether the model sees anything."""
        tokens = self._tokens
        self._adapter = ActionAdapter(self._config.action, robot, len(tokens.low), tokens.means)
        (size,) = self._info.cameras.values()
        black, white = (
            self._decode(np.full((*size, 3), level, np.uint8), "pick up the object")[1]
            for level in (0, 255)
        )
        if np.abs(black - white).max() < LEAST_DIFFERENCE:
            raise BackendError(
                "the model gives the same answer to a black and a white image: it ignores the "
                "camera. OpenVLA's own code does so with a transformers that is too new: use "
                "transformers 4.40.1, in an environment of its own, by policy:=remote"
            )

    def reset(self) -> None:
        """Nothing to forget: each action follows from its image alone."""

    def act(self, observation: Observation) -> PolicyOutput:
        """Proposes an action; see PolicyBackend.act."""
        if self._adapter is None:
            raise RuntimeError("bind() was not called: the policy does not know its robot")
        (camera,) = self._config.cameras.values()
        tokens, probabilities, latent = self._decode(
            observation.images[camera.camera], observation.instruction
        )
        own = self._tokens.values(tokens)
        action = self._adapter.convert(
            own[None, None], observation.joint_positions, observation.tool_quaternion
        )[0]
        if self._projection is not None:
            latent = latent @ self._projection
        return PolicyOutput(
            action=self._adapter.executable(action[0]),
            member_means=action,
            latent=latent,
            token_probabilities=probabilities,
            policy_action=self._adapter.own(own),
        )

    @torch.inference_mode()
    def _decode(
        self, image: np.ndarray, instruction: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N,) tokens, (N, bins + 1) probabilities and the (D,) latent."""
        from PIL import Image

        text = self._prompting.prompt.format(instruction=instruction.strip().lower().rstrip("."))
        inputs = self._processor(text=text, images=Image.fromarray(image), return_tensors="pt")
        # Some tokenizers add inputs that the model does not know.
        names = ("input_ids", "attention_mask", "pixel_values")
        inputs = {name: inputs[name].to(self._info.device) for name in names}
        inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        extra = self._prompting.append_token
        if extra is not None and int(inputs["input_ids"][0, -1]) != extra:
            for name, value in (("input_ids", extra), ("attention_mask", 1)):
                added = torch.full_like(inputs[name][:, :1], value)
                inputs[name] = torch.cat([inputs[name], added], dim=1)
        allowed = list(range(self._tokens.first, self._tokens.vocabulary))
        generated = self._model.generate(
            **inputs,
            max_new_tokens=len(self._tokens.low),
            min_new_tokens=len(self._tokens.low),
            do_sample=False,
            prefix_allowed_tokens_fn=lambda *_: allowed,
            return_dict_in_generate=True,
            output_logits=True,
            output_hidden_states=True,
        )
        count = len(self._tokens.low)
        tokens = generated.sequences[0, -count:].cpu().numpy()
        # Logits, not scores: of the whole vocabulary, as the model gave them.
        logits = torch.stack([step[0] for step in generated.logits]).float().cpu().numpy()
        latent = generated.hidden_states[0][-1][0, -1].float().cpu().numpy()
        return tokens, self._tokens.probabilities(logits), latent


def _latent_size(model: Any) -> int:
    text = getattr(model.config, "text_config", model.config)
    return int(text.hidden_size)


def _hash(folder: Path) -> str:
    """Hash of the weights; refuses pickled ones, which run code as they are loaded."""
    files = list(folder.glob("*.safetensors"))
    if not files:
        raise BackendError(f"checkpoint {folder} has no *.safetensors: pickled weights are refused")
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards = {
                str(name)
                for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackendError(f"{index} cannot be read: {error!r}") from error
        # transformers unpickles whatever else an index of safetensors names.
        foreign = sorted(shards - {path.name for path in files})
        if foreign:
            raise BackendError(
                f"{index} names {', '.join(foreign)}: only *.safetensors in the same folder are "
                "loaded"
            )
    return hash_files(folder, files)
