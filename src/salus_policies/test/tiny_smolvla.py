# SPDX-License-Identifier: Apache-2.0
"""The smallest SmolVLA that LeRobot can build, at random, saved as LeRobot saves one.

As a command: `python tiny_smolvla.py FOLDER` writes one that fits SALUS's own world.
"""

import sys
from pathlib import Path

import torch
import yaml
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

CHUNK = 10
EDGE = 32
STATE = {
    "parts": ["tool_position", "tool_rotation_vector", "gripper_opening"],
    "gripper_open_width": 0.08,
}
ACTION = {
    "space": "tool_delta",
    "frame": "base",
    "rotation": "rotation_vector",
    "gripper": {"closed": 0, "open": 1, "threshold": 0.5},
    "scale": {"translation": 0.014, "rotation": 0.1},
}
MEAN = [0.0] * 6 + [0.5]
STD = [0.005] * 3 + [0.02] * 3 + [0.3]


def save_vlm(folder):
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="<end_of_utterance>",
        unk_token="<unk>",
        extra_special_tokens={
            "image_token": "<image>",
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
    )
    edge = {"longest_edge": EDGE}
    SmolVLMConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": EDGE,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 512,
            "pad_token_id": tokenizer.pad_token_id,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    ).save_pretrained(folder)
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=edge, max_image_size=edge),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(
            size=edge,
            max_image_size=edge,
            video_sampling={"fps": 1, "max_frames": 1, "video_size": edge},
        ),
        image_seq_len=(EDGE // 8 // 2) ** 2,
    ).save_pretrained(folder)


def build(vlm, seed, cameras=("front", "wrist"), state=7, action=7):
    """A random policy; only the expert differs between seeds."""
    images = {
        f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, 256, 256))
        for name in cameras
    }
    torch.manual_seed(0)
    policy = SmolVLAPolicy(
        SmolVLAConfig(
            input_features={
                "observation.state": PolicyFeature(FeatureType.STATE, (state,)),
                **images,
            },
            output_features={"action": PolicyFeature(FeatureType.ACTION, (action,))},
            chunk_size=CHUNK,
            n_action_steps=CHUNK,
            resize_imgs_with_padding=(EDGE, EDGE),
            vlm_model_name=str(vlm),
            load_vlm_weights=False,
            num_vlm_layers=4,
            device="cpu",
        )
    )
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if "lm_expert" in name and weight.ndim == 2:
                weight.normal_(0, 0.2)
    return policy


def save(folder, seed=1, statistics=None, config=None, **features):
    """A complete checkpoint with its SALUS configuration and language model."""
    folder = Path(folder).absolute()
    folder.mkdir(parents=True)
    save_vlm(folder / "vlm")
    policy = build(folder / "vlm", seed, **features)
    size = policy.config.output_features["action"].shape[0]
    state = policy.config.input_features["observation.state"].shape[0]
    if statistics is None:
        statistics = {
            "observation.state": {"mean": torch.zeros(state), "std": torch.ones(state)},
            "action": {
                "mean": torch.tensor((MEAN + [0.0] * size)[:size]),
                "std": torch.tensor((STD + [1.0] * size)[:size]),
            },
        }
    for pipeline in make_pre_post_processors(policy.config, dataset_stats=statistics):
        pipeline.save_pretrained(folder)
    policy.save_pretrained(folder)
    write_config(folder, **(config or {}))
    return folder


def write_config(folder, **changes):
    values = {
        "schema": 1,
        "control_period": 1 / 30,
        "cameras": {
            f"observation.images.{name}": {"camera": name, "size": [256, 256]}
            for name in ("front", "wrist")
        },
        "state": STATE,
        "action": ACTION,
        "smolvla": {"vlm": "vlm"},
    }
    values = {k: v for k, v in {**values, **changes}.items() if v is not None}
    (Path(folder) / "salus_policy.yaml").write_text(yaml.safe_dump(values))


if __name__ == "__main__":
    print(save(sys.argv[1]))
