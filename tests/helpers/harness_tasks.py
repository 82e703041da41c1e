"""Tasks of the lm-eval harness in a folder, on local files: every kind and every way of showing worked examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

NOUNS = ("fox", "dog", "river", "house", "man", "light", "morning", "answer", "question", "walk")
PLACES = ("old", "red", "lazy", "quick", "brown", "over", "along", "under")


def rows(n: int, start: int) -> list[dict[str, Any]]:
    """Questions with four choices, a target and a text; each differs from all others."""
    made = []
    for i in range(start, start + n):
        choices = [f"{PLACES[(i + k) % 8]} {NOUNS[(i * 3 + k) % 10]} {i}" for k in range(4)]
        label = (i * 7) % 4
        made.append(
            {
                "question": f"the {NOUNS[i % 10]} number {i} is",
                "choices": choices,
                "label": label,
                "letter": "ABCD"[label],
                "answer": choices[label],
                "number": str(10 + i),
                "subject": NOUNS[i % 3],
                "text": f"the quick brown fox jumps over {i} dogs. " * (1 + i % 4),
                "aliases": [choices[label], choices[label].upper()],
            }
        )
    return made


def task(name: str, folder: Path, **keys: Any) -> dict[str, Any]:
    """A configuration on the files of folder; keys replace or, as None, remove."""
    whole = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"train": str(folder / "train.jsonl"), "test": str(folder / "test.jsonl")}},
        "training_split": "train",
        "test_split": "test",
        "fewshot_split": "train",
        "metadata": {"version": 2.0},
        **keys,
    }
    return {k: v for k, v in whole.items() if v is not None}


CHOICE: dict[str, Any] = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "choices",
    "doc_to_target": "label",
    "metric_list": [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in ("acc", "acc_norm")],
}
EXACT = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
GENERATE: dict[str, Any] = {
    "output_type": "generate_until",
    "doc_to_text": "Q: {{question}}\nA:",
    "doc_to_target": "answer",
    "generation_kwargs": {"until": ["\n", "Q:"], "max_gen_toks": 12, "do_sample": False},
    "metric_list": [EXACT],
}
LETTERED = "Question: {{question}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:"


def configurations(folder: Path) -> dict[str, dict[str, Any]]:
    """Name → configuration of every sound task."""
    made = [
        task("cloze", folder, **CHOICE, description="Choose well.\n\n"),
        task(
            "shots",
            folder,
            **CHOICE,
            description="About {{subject}}s.\n\n",
            num_fewshot=3,
            fewshot_delimiter="\n###\n",
            target_delimiter=" -> ",
        ),
        task("own_split", folder, **CHOICE, fewshot_split="test", num_fewshot=2),
        task(
            "letters",
            folder,
            **{**CHOICE, "doc_to_text": LETTERED, "doc_to_choice": ["A", "B", "C", "D"], "doc_to_target": "letter"},
            num_fewshot=2,
            fewshot_config={"sampler": "first_n"},
        ),
        task(
            "mutual",
            folder,
            **{
                **CHOICE,
                "metric_list": [
                    {"metric": m, "aggregation": "mean", "higher_is_better": True} for m in ("acc", "acc_mutual_info")
                ],
            },
        ),
        task(
            "contexts",
            folder,
            **{**CHOICE, "doc_to_text": "label", "doc_to_choice": "{{choices}}", "doc_to_target": "{{question}}"},
            num_fewshot=1,
        ),
        task(
            "continuation",
            folder,
            output_type="loglikelihood",
            doc_to_text="{{question}}",
            doc_to_target=" {{answer}}",
            num_fewshot=2,
            target_delimiter="",
            metric_list=[
                {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
            ],
        ),
        task(
            "rolling",
            folder,
            output_type="loglikelihood_rolling",
            doc_to_text="",
            doc_to_target="text",
            metric_list=[{"metric": m} for m in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
        ),
        task("generate", folder, **GENERATE, num_fewshot=2),
        task("prefixed", folder, **GENERATE, num_fewshot=1, gen_prefix="It is"),
        task(
            "filtered",
            folder,
            **{**GENERATE, "doc_to_target": "number"},
            filter_list=[
                {
                    "name": "strict",
                    "filter": [{"function": "regex", "regex_pattern": "^ *(\\d+)$"}, {"function": "take_first"}],
                },
                {
                    "name": "flexible",
                    "filter": [
                        {"function": "regex", "regex_pattern": "(\\d+)", "group_select": -1},
                        {"function": "take_first"},
                    ],
                },
            ],
        ),
        task("aliases", folder, **{**GENERATE, "doc_to_target": "aliases", "num_fewshot": 1}),
        task(
            "handmade",
            folder,
            **GENERATE,
            num_fewshot=2,
            fewshot_split=None,
            training_split=None,
            fewshot_config={
                "sampler": "first_n",
                "doc_to_text": "Example: {{question}}\nA:",
                "samples": [{"question": "one", "answer": "two"}, {"question": "three", "answer": "four"}],
            },
        ),
    ]
    return {config["task"]: config for config in made}


def write(folder: Path, *more: dict[str, Any], n: int = 8) -> Path:
    """The data, all sound tasks, a group of two, a tag, and more configurations; the folder again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in (("train", rows(10, 100)), ("test", rows(n, 0))):
        text = "".join(json.dumps(row) + "\n" for row in found)
        (folder / f"{name}.jsonl").write_text(text)
    group = {"group": "both", "task": ["cloze", "continuation"]}
    for config in (*configurations(folder).values(), group, *more):
        name = config.get("task") if isinstance(config.get("task"), str) else config["group"]
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


@contextmanager
def offline(cache: Path) -> Iterator[None]:
    """No hub, and prepared data in a folder of one's own."""
    import datasets
    import huggingface_hub.constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        yield
