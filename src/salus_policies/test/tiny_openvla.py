# SPDX-License-Identifier: Apache-2.0
"""A vision-language model of transformers, random and tiny, that writes actions as OpenVLA does."""

import json
from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

BINS = 256
EDGE = 32
STATISTICS = {
    "cell": {
        "action": {
            "q01": [-0.01] * 3 + [-0.1] * 3 + [0.0],
            "q99": [0.01] * 3 + [0.1] * 3 + [1.0],
            "mask": [True] * 6 + [False],
            "mean": [0.0] * 7,
        }
    }
}
CONFIG = {
    "schema": 1,
    "control_period": 0.2,
    "cameras": {"image": {"camera": "front", "size": [256, 256]}},
    "action": {
        "space": "tool_delta",
        "frame": "base",
        "rotation": "euler_xyz",
        "gripper": {"closed": -1, "open": 1},
        "scale": {"translation": 0.01, "rotation": 0.1},
    },
    "openvla": {
        "prompt": "<image>\nIn: What action should the robot take to {instruction}?\nOut:",
        "append_token": -1,
    },
}


def save(folder, statistics=STATISTICS, blind=False, **config):
    folder = Path(folder).absolute()
    specials = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
    names = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = specials + names + [f"<action_{i}>" for i in range(BINS)]
    bytewise = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=EDGE,
                patch_size=8,
                projection_dim=32,
            ),
            text_config=LlamaConfig(
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                vocab_size=len(names),
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
            ),
            image_token_index=names.index("<image>"),
            vision_feature_layer=-1,
            vision_feature_select_strategy="default",
        )
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(0, 0.2)
        if blind:
            for name, weight in model.named_parameters():
                if "multi_modal_projector" in name:
                    weight.zero_()
    model.save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": EDGE}, crop_size={"height": EDGE, "width": EDGE}
        ),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    (folder / "dataset_statistics.json").write_text(json.dumps(statistics))
    (folder / "salus_policy.yaml").write_text(yaml.safe_dump({**CONFIG, **config}))
    return folder
