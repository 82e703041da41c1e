"""What in a model's policies, coordinates and prompts is known to mislead; one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from saltus.models.base import Description
from saltus.records import ModelRef, Request


def warnings(ref: ModelRef, about: Description, requests: Sequence[Request]) -> list[str]:
    """Sentences for people, in the order of what they cost. requests: encoded."""
    parts = (_of_tokens(about), _of_template(about), _of_numbers(about), _of_place(ref), _of_prompts(about, requests))
    return list(chain.from_iterable(parts))


def _of_tokens(about: Description) -> Iterator[str]:
    bos, eos, pad = about.bos, about.detail.get("eos") or {}, about.detail.get("pad") or {}
    if bos.id is not None and bos.prepended is False:
        yield (
            f"no BOS: the tokenizer has one ({bos.token or bos.id}) but it is not prepended; a model trained "
            "with it scores far too low without. Compare with `bos: always`"
        )
    if eos and eos.get("id") is None:
        yield "no EOS: generated answers end at a stop string or the token limit only"
    if pad.get("id") is not None and pad["id"] == eos.get("id"):
        yield "pad is EOS: harmless here (pads are masked), but training with it can teach a model never to stop"


def _of_template(about: Description) -> Iterator[str]:
    template = about.template
    if template.has_one and template.applied is False:
        yield "a chat template is there and not applied: right for a base model; a chat model needs `template: auto`"
    if template.policy == "auto" and template.has_one is False:
        yield "`template: auto`, but the tokenizer has no chat template: prompts are asked as written"


def _of_numbers(about: Description) -> Iterator[str]:
    if about.dtype in ("bfloat16", "float16"):
        yield (
            f"{about.dtype} moves a log-likelihood by up to about 0.3 nats against float32: keep it fixed in a series"
        )
    size, vocabulary = about.tokenizer.size, about.vocabulary
    if size and vocabulary and size > vocabulary:
        yield f"the tokenizer has {size} tokens, the network {vocabulary}: some texts cannot be asked"


def _of_place(ref: ModelRef) -> Iterator[str]:
    if not {"step", "tokens", "flops", "date", "loss"} & ref.coords.keys():
        yield "no coordinate along training (step, tokens, …): name one in the pattern or in series.yaml"
    elif "tokens" not in ref.coords and "step" in ref.coords:
        yield "training tokens are unknown: state `tokens_per_step` to judge along tokens"


def _of_prompts(about: Description, requests: Sequence[Request]) -> Iterator[str]:
    bos, unknown = about.bos.id, (about.detail.get("unk") or {}).get("id")
    ids = [(*(r.prompt_ids or ()), *(r.continuation_ids or ())) for r in requests]
    if bos is not None and any(one[:2] == (bos, bos) for one in ids):
        yield "double BOS: the prompt begins with two; the text brings its own, remove it there"
    if unknown is not None and any(unknown in one for one in ids):
        yield "unknown tokens: the tokenizer cannot spell part of the prompt or its continuation"
    if any(r.prompt != r.prompt.rstrip(" ") and not r.messages for r in requests):
        effect = "it was moved to the continuation" if requests[0].continuation else "the answer's first token changes"
        yield f"trailing space in the prompt: {effect}; write the space in front of the continuation instead"
    together = next((r for r in requests if _run_together(r)), None)
    if together is not None:
        seam = f"…{together.prompt[-12:]!r} + {together.continuation[:12]!r}…"
        yield f"prompt and continuation run together: {seam}; is a space missing?"
    if about.boundary_tokens_split:
        yield "a token would span prompt and continuation: they were encoded apart"
    if about.empty_prompts:
        yield "an empty prompt: BOS (or EOS) stands for it"


def _run_together(request: Request) -> bool:
    prompt, continuation = request.prompt, request.continuation
    return bool(prompt and continuation) and prompt[-1].isalnum() and continuation[0].isalnum()
