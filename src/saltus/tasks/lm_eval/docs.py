"""From the harness's prompts to items whose parts conditions can change, and back, byte for byte.

The harness builds every prompt itself (`fewshot_context`, `construct_requests`), documents in order, because its
sampler of worked examples goes on from one to the next. What it joins on the way (description, worked examples,
question, prefix of the answer) is noted and becomes the parts of an item. An item whose parts do not give the harness's
requests again holds the whole prompt as its question instead, so a baseline prompt is the harness's in any case.

Items stay in memory once made, some 2 kB each; worked examples are shared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from saltus.records import Item
from saltus.tasks.lm_eval.harness import quiet, refuse_too_few

Pair = tuple[str, str]
"""(prompt, continuation) of a log-likelihood."""
NOTHING = ""


def prompt(item: Item, ending: str = "") -> str:
    """What is read before an answer; ending: a choice that belongs into the prompt."""
    meta = item.meta
    parts = [meta.get("header", "")]
    for demo in item.demos:
        parts += [demo.question, demo.meta.get("delimiter", ""), str(demo.target), demo.meta.get("separator", "")]
    return "".join((*parts, item.question, ending, meta.get("lead", "")))


def pairs(item: Item) -> list[Pair]:
    """The log-likelihoods of an item's choices, or of its target; then those without a prompt, where wanted."""
    meta, delimiter = item.meta, item.meta.get("delimiter", "")
    if "continuation" in meta:
        return [(prompt(item, choice), meta["continuation"]) for choice in item.choices]
    continuations = [delimiter + choice for choice in item.choices] or [str(item.target)]
    before = prompt(item)
    alone = [(NOTHING, one) for one in continuations] if meta.get("unconditional") else []
    return [(before, one) for one in continuations] + alone


@dataclass(frozen=True, slots=True)
class _Turn:
    """A question of the harness's prompt, with its answer where it is a worked example."""

    question: str
    between: str
    """White space before the answer."""
    answer: str
    after: str

    @property
    def text(self) -> str:
        return self.question + self.between + self.answer + self.after


@dataclass
class Source:
    """A task of the harness, its documents, and its items by the number of worked examples."""

    task: Any
    seed: int
    docs: Sequence[Mapping[str, Any]] = field(init=False)
    turns: list[_Turn] = field(default_factory=list)
    _series: dict[int, _Series] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.docs = self.task.eval_docs
        build = self.task.build_qa_turn

        def noting(**parts: Any) -> Any:
            made = build(**parts)
            self.turns.append(_turn([(m.content, m.to_text()) for m in made]))
            return made

        self.task.build_qa_turn = noting

    def item(self, index: int, shots: int) -> Item:
        """The item of a document, as the harness asks it after that many worked examples."""
        if shots not in self._series:
            refuse_too_few(self.task, shots)
            self._series[shots] = _Series(self, shots)
        return self._series[shots].item(index)

    def choices(self, doc: Mapping[str, Any]) -> list[str]:
        """Raises ValueError for what are no two choices or more."""
        found = self.task.doc_to_choice(doc)
        if not isinstance(found, list) or not all(isinstance(c, str) for c in found):
            raise ValueError(f"`doc_to_choice` gives {found!r}, no list of texts")
        if len(found) < 2:
            raise ValueError(f"`doc_to_choice` gives {len(found)} choices: {found!r}")
        return found

    def gold(self, doc: Mapping[str, Any], n: int) -> tuple[int, ...]:
        """Indices of the right ones among n choices; () where the label names none of them."""
        given = self.task.doc_to_text(doc) if self.task.multiple_input else self.task.doc_to_target(doc)
        found = []
        for one in given if isinstance(given, list) else [given]:
            if isinstance(one, str):
                choices = self.task.doc_to_choice(doc)
                one = choices.index(one) if one in choices else -1
            found.append(int(one))
        return tuple(sorted({i for i in found if 0 <= i < n}))

    def targets(self, doc: Mapping[str, Any]) -> tuple[str, ...]:
        """The right answers of a document without choices to compare."""
        given = self.task.doc_to_target(doc)
        if self.task.config.doc_to_choice is not None and isinstance(given, int):
            given = self.task.doc_to_choice(doc)[given]
        return tuple(map(str, given if isinstance(given, list) else [given]))


class _Series:
    """The items of a task in order, with the state of its sampler between them."""

    def __init__(self, source: Source, shots: int) -> None:
        self.source, self.shots = source, shots
        source.task.set_fewshot_seed(seed=source.seed)
        self.sampler = getattr(source.task, "sampler", None)
        self.dice = getattr(self.sampler, "rnd", None), source.task.fewshot_rnd
        self.made: list[Item] = []
        self.demos: dict[_Turn, Item] = {}
        self.rest: Iterator[Mapping[str, Any]] = iter(source.docs)

    def item(self, index: int) -> Item:
        """Makes all items up to it: the harness's sampler knows no other way."""
        if index >= len(self.made):
            task = self.source.task
            if self.sampler is not None:
                self.sampler.rnd = self.dice[0]
            task.fewshot_rnd = self.dice[1]
            with quiet():
                for doc in islice(self.rest, index + 1 - len(self.made)):
                    self.made.append(self._made(doc, len(self.made)))
        return self.made[index]

    def _made(self, doc: Mapping[str, Any], index: int) -> Item:
        facts = {"doc_id": index, "skill": self.source.task.task_name}
        try:
            return self._asked(doc, facts)
        except Exception as error:  # noqa: BLE001 — third-party templates; the item fails when asked, with this reason
            message = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
            return _item(facts, meta={"fault": f"document {index}: {message}"})

    def _asked(self, doc: Mapping[str, Any], facts: dict[str, Any]) -> Item:
        task = self.source.task
        self.source.turns.clear()
        context = task.fewshot_context(
            doc,
            num_fewshot=self.shots,
            system_instruction=None,
            apply_chat_template=False,
            fewshot_as_multiturn=False,
            chat_template=None,
            gen_prefix=task.doc_to_prefix(doc),
        )
        made = task.construct_requests(
            doc=doc,
            ctx=context,
            metadata=(task.task_name, facts["doc_id"], 1),
            apply_chat_template=False,
            chat_template=None,
        )
        wanted = [instance.args for instance in (made if isinstance(made, list) else [made])]
        return _KINDS[task.OUTPUT_TYPE](self, doc, facts, (context, wanted))

    def _parts(self, context: str, turn: int = -1) -> dict[str, Any]:
        """Header, worked examples and question of a context, or all of it as the question."""
        turns = self.source.turns
        shown, last = turns[: self.shots], turns[turn] if len(turns) > self.shots else None
        if last is None:
            return {"question": context, "demos": (), "meta": {}}
        tail = "".join(t.text for t in shown) + last.text
        if not context.endswith(tail):
            return {"question": context, "demos": (), "meta": {}}
        meta = {"header": context[: len(context) - len(tail)], "lead": last.text[len(last.question) :]}
        return {
            "question": last.question,
            "demos": tuple(map(self._demo, shown)),
            "meta": {k: v for k, v in meta.items() if v},
        }

    def _demo(self, turn: _Turn) -> Item:
        if turn not in self.demos:
            digest = hashlib.sha256(repr((turn.question, turn.answer)).encode()).hexdigest()[:12]
            spaces = {"delimiter": turn.between, "separator": turn.after}
            self.demos[turn] = Item(id=f"shot-{digest}", question=turn.question, target=turn.answer, meta=spaces)
        return self.demos[turn]

    def choices(self, doc: Any, facts: dict[str, Any], asked: Any) -> Item:
        """multiple_choice: choices after one prompt, or several prompts before one continuation."""
        context, wanted = asked
        choices = self.source.choices(doc)
        gold = self.source.gold(doc, len(choices))
        continuations = [args[1] for args in wanted[: len(choices)]]
        if isinstance(context, list):
            turns = self.source.turns
            parts = self._parts(context[0], self.shots)
            split = len(turns) == self.shots + len(choices) and not parts["meta"].get("lead")
            ends = [t.text for t in turns[self.shots :]] if split else context
            parts |= {"question": ""} if split else {"question": "", "demos": (), "meta": {}}
            meta = parts["meta"] | {"continuation": continuations[0]}
        else:
            delimiter = continuations[0].removesuffix(choices[0])
            plain = all(t == delimiter + c for t, c in zip(continuations, choices, strict=True))
            parts, ends = self._parts(context), choices if plain else continuations
            extra = {"unconditional": True} if len(wanted) == 2 * len(choices) else {}
            meta = parts["meta"] | extra | ({"delimiter": delimiter} if plain and delimiter else {})
        item = _item(
            facts,
            question=parts["question"],
            demos=parts["demos"],
            choices=tuple(ends),
            gold=gold,
            target=_one(tuple(ends[g] for g in gold)),
            meta=meta,
        )
        return _checked(item, pairs(item), wanted)

    def continuation(self, doc: Any, facts: dict[str, Any], asked: Any) -> Item:
        """loglikelihood: the harness puts the target as it is right behind the prompt."""
        context, wanted = asked
        if not isinstance(wanted[0][1], str):
            raise ValueError(f"`doc_to_target` gives {wanted[0][1]!r}, no text")
        item = _item(facts, target=wanted[0][1], **self._parts(context))
        return _checked(item, pairs(item), wanted)

    def text(self, doc: Any, facts: dict[str, Any], asked: Any) -> Item:
        """loglikelihood_rolling: a running text from its first token on."""
        item = _item(facts, target=str(asked[1][0][0]))
        return _checked(item, [(str(item.target),)], asked[1])

    def generation(self, doc: Any, facts: dict[str, Any], asked: Any) -> Item:
        """generate_until."""
        context, wanted = asked
        item = _item(facts, target=_one(self.source.targets(doc)), **self._parts(context))
        return _checked(item, [(prompt(item),)], [(wanted[0][0],)])


_KINDS: dict[str, Callable[..., Item]] = {
    "multiple_choice": _Series.choices,
    "loglikelihood": _Series.continuation,
    "loglikelihood_rolling": _Series.text,
    "generate_until": _Series.generation,
}


def _turn(messages: Sequence[tuple[str, str]]) -> _Turn:
    """messages: (content, content with the delimiter behind it)."""
    (question, text), rest = messages[0], messages[1:]
    answer = "".join(content for content, _ in rest)
    after = "".join(t for _, t in rest).removeprefix(answer)
    return _Turn(question, text[len(question) :], answer, after)


def _item(facts: Mapping[str, Any], **parts: Any) -> Item:
    meta = {"doc_id": facts["doc_id"], **parts.pop("meta", {})}
    return Item(
        id=f"doc-{facts['doc_id']}", meta=meta, skill=facts["skill"], source=f"document {facts['doc_id']}", **parts
    )


def _one(targets: tuple[str, ...]) -> str | tuple[str, ...]:
    return targets[0] if len(targets) == 1 else targets


def _checked(item: Item, ours: Sequence[Any], wanted: Sequence[Any]) -> Item:
    """The item, if it is asked as the harness asks it."""
    theirs = [tuple(args) for args in wanted]
    if list(ours) != theirs:
        raise ValueError(
            f"the task makes {len(theirs)} requests of its own that are not its output type's; run it in lm-eval "
            "with saltus.lm_eval.SaltusLM and read the results"
        )
    return item
