"""The other way round: lm-eval runs its tasks, saltus' packed engine answers.

    from saltus.lm_eval import SaltusLM
    lm_eval.simple_evaluate(model=SaltusLM("checkpoint"), tasks=["arc_easy"])

or from a shell `python -m saltus.lm_eval run --model saltus --model_args path=checkpoint --tasks arc_easy`. Text
becomes tokens exactly as under lm-eval's `hf` model with the same `add_bos_token`: its splitting of prompt and
continuation (inherited), its rolling windows, its cut from the left where a prompt exceeds the window (`truncated`
counts them). So its faults come along: a rolling text gets BOS twice where BOS is added. Studies of saltus' own
never cut and never double. Limits: one process, decoder-only models in local folders; sampled text comes from our
random stream.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from saltus.errors import MissingExtra, UserError
from saltus.hashing import seed_from
from saltus.models.base import ModelError, answer_key
from saltus.models.folders import adapter
from saltus.models.local.windows import disjoint
from saltus.records import Answer, AskPolicy, ModelRef, Request
from saltus.tasks import options
from saltus.tasks.lm_eval.settings import MOST_TOKENS, settings_of

try:
    import lm_eval.models  # noqa: F401 — before anything is registered, or the harness forgets its own models
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import register_model
    from lm_eval.models.utils import _add_special_kwargs, has_bos_prefix
    from tqdm import tqdm
except ImportError as missing:
    raise MissingExtra("`saltus.lm_eval`", "lm-eval") from missing

log = logging.getLogger(__name__)
Ids = Sequence[int]
_Dtype = Literal["float32", "bfloat16", "float16"]
_UNKNOWN_WINDOW = 2048
"""The harness's, where a configuration names none."""


@register_model("saltus")
class SaltusLM(TemplateLM):
    """A checkpoint folder as a model of lm-eval.

    dtype and add_bos_token as for `hf` (None: what the tokenizer does by itself). max_length: a smaller window.
    prefix_token_id: stands for an empty prompt; default BOS, else EOS. batch_tokens, memory_mb: see `AskPolicy`.
    batch_size, max_batch_size and device, which the harness passes, are not needed. Raises UserError where path is no
    folder, `saltus.models.base.ModelError` where it holds no whole model, or a question cannot be answered.
    """

    def __init__(
        self,
        path: str | Path,
        dtype: _Dtype = "float32",
        add_bos_token: bool | None = True,
        *,
        max_length: int | None = None,
        prefix_token_id: int | None = None,
        batch_tokens: int = 8192,
        memory_mb: int | None = None,
        **passed: Any,
    ) -> None:
        super().__init__()
        _refuse_unknown(passed)
        folder = Path(path).expanduser().resolve()
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}", where="SaltusLM", wanted="a checkpoint folder")
        self.path, self.add_bos_token = folder, add_bos_token
        options.one_of("SaltusLM", "dtype", dtype, get_args(_Dtype))
        ask = AskPolicy(dtype=dtype, batch_tokens=batch_tokens, memory_mb=memory_mb)
        opened: Any = adapter.open(ModelRef(adapter="dir", location=str(folder), series="lm-eval"), ask)
        self.model, self.tokenizer = opened, opened.encoder.tokenizer
        if add_bos_token is not None:
            self.tokenizer.add_bos_token = add_bos_token
        self._prefix, self._window = prefix_token_id, max_length
        self.truncated = 0
        """Requests that did not fit the window and lost tokens on the left."""

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        if self._prefix is not None:
            return self._prefix
        bos = self.tokenizer.bos_token_id
        return int(self.tokenizer.eos_token_id if bos is None else bos)

    @property
    def max_length(self) -> int:
        return self._window or self.model.window or _UNKNOWN_WINDOW

    @property
    def max_gen_toks(self) -> int:
        return MOST_TOKENS

    @property
    def tokenizer_name(self) -> str:
        return str(self.path).replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """What the harness writes into its results: which weights these were."""
        about = self.model.describe().plain()
        names = ("identity", "weights_hash", "params", "dtype", "engine", "self_check")
        return {**{f"saltus_{n}": about.get(n) for n in names}, "saltus_truncated": self.truncated}

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        special = _add_special_kwargs(add_special_tokens, self.add_bos_token)
        if add_special_tokens is None and has_bos_prefix(string, self.tokenizer.decode(self.prefix_token_id)):
            special["add_special_tokens"] = False
        return list(self.tokenizer.encode(string, **special))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        asked = [self._likely(context, continuation) for _, context, continuation in requests]
        answers = self._answers(self.model.loglikelihood, asked, disable_tqdm)
        found = [(sum(a.token_logprobs), bool(a.greedy)) for a in answers]
        for (pair, *_), one in zip(requests, found, strict=True):
            if pair is not None:
                self.cache_hook.add_partial("loglikelihood", pair, one)
        return found

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        texts = [request.args[0] for request in requests]
        windows = [list(self._windows(self.tok_encode(text))) for text in texts]
        flat = [(None, *window) for some in windows for window in some]
        found = iter(self._loglikelihood_tokens(flat, disable_tqdm))  # type: ignore[arg-type]
        totals = [sum(next(found)[0] for _ in some) for some in windows]
        for text, total in zip(texts, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
        return totals

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        eos = self.tokenizer.decode(self.eot_token_id, skip_special_tokens=False)
        asked = []
        for place, request in enumerate(requests):
            context, given = request.args
            settings = settings_of(given, "SaltusLM")
            settings = replace(settings, stop=(*settings.stop, eos))
            room = self.max_length - settings.max_tokens
            if room <= 0:
                raise UserError(
                    f"{settings.max_tokens} tokens are to be generated, and the window holds {self.max_length}",
                    where="SaltusLM",
                    do="lower max_gen_toks",
                )
            ids = self.tok_encode(context)
            self.truncated += len(ids) > room
            seed = seed_from("lm_eval", context, place) if settings.temperature else None
            asked.append(Request(kind="generate", prompt_ids=tuple(ids[-room:]), settings=settings, seed=seed))
        texts = [answer.text for answer in self._answers(self.model.generate, asked, disable_tqdm)]
        for request, text in zip(requests, texts, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, text)
        return texts

    def _windows(self, ids: list[int]) -> Iterator[tuple[list[int], list[int]]]:
        """Disjoint windows that predict each token once, as the harness cuts them."""
        for context, continuation in disjoint([self.prefix_token_id], ids, self.max_length) if ids else ():
            yield list(context), list(continuation)

    def _likely(self, context: Ids, continuation: Ids) -> Request:
        """The last `max_length` + 1 tokens, of which the last is not read."""
        spare = len(context) + len(continuation) - (self.max_length + 1)
        if spare > 0:
            self.truncated += 1
            log.warning("a prompt lost its first %d tokens: it exceeds the window", spare)
        kept = tuple(context[max(0, spare) :])
        return Request(kind="loglikelihood", prompt_ids=kept, continuation_ids=tuple(continuation))

    def _answers(self, ask: Any, asked: Sequence[Request], hidden: bool) -> list[Answer]:
        """The answers in order; equal requests are asked once."""
        keys = [answer_key(self.model.identity, request) for request in asked]
        single = dict(zip(keys, asked, strict=True))
        found: dict[str, Answer] = {}
        for answer in _in_order(ask(list(single.values())), len(single), hidden):
            if answer.error:
                raise ModelError(f"{self.path}: {answer.error}")
            found[answer.key] = answer
        return [found[key] for key in keys]


def _in_order(answers: Iterable[Answer], total: int, hidden: bool) -> Iterable[Answer]:
    return tqdm(answers, total=total, disable=hidden, desc="Asking")  # type: ignore[no-any-return]


def _refuse_unknown(passed: dict[str, Any]) -> None:
    """Arguments that the harness passes to every model mean nothing here; others are a mistake."""
    unknown = set(passed) - {"batch_size", "max_batch_size", "device"}
    if unknown:
        raise UserError(
            f"no argument {', '.join(sorted(unknown))}",
            where="SaltusLM",
            wanted="path, dtype, add_bos_token, max_length, prefix_token_id, batch_tokens, memory_mb",
        )


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
