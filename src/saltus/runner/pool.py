"""Asks a model a window of questions at once and sees every one of them to its end.

All requests that are certain go to the model as one batch per kind, each distinct key once; questions that read
their answers come back for another round. An answer is checked before it is stored: NaN, or log-probabilities of
the wrong length, are failures and never scores.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from saltus.errors import reason
from saltus.models.base import Model, answer_key, outcome_key
from saltus.records import Answer, Request
from saltus.runner.questions import Ask, Work, requests_after
from saltus.store import Store, Writer
from saltus.store.base import Known
from saltus.store.digests import key_digest
from saltus.store.rows import AskRow, State, version_of
from saltus.tasks.base import Shows, Task

KINDS = ("loglikelihood", "generate")
MOST_IMAGE = 2**25
"""Bytes of one image: what a page of 600 dpi needs, and no more of a store than that at once."""


@dataclass(slots=True)
class Tally:
    """What became of a model's asks."""

    done: int = 0
    """Asks settled, whatever way."""
    asked: int = 0
    """Answers the model gave."""
    failed: int = 0
    refused: int = 0
    known: int = 0
    """Asks that were complete before."""
    tokens: int = 0
    seconds: float = 0.0
    """Spent in the model."""
    errors: dict[str, int] = field(default_factory=dict)
    """Reason → how many asks failed for it; the first hundred reasons."""


@dataclass(slots=True)
class _Dialogue:
    ask: Ask
    keys: list[str] = field(default_factory=list)
    closed: bool = False
    missing: int = 0
    error: str | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    """Kept only while the task still reads them."""


@dataclass(slots=True)
class Pool:
    """One model's questions, window by window."""

    model: Model
    work: Work
    store: Store
    writer: Writer
    known: Known
    tell: Callable[[Tally], None]
    tally: Tally = field(default_factory=Tally)
    kept: set[str] = field(default_factory=set)
    """Images that are in the store."""

    def pending(self, asks: Sequence[Ask]) -> list[Ask]:
        """Those of the asks that are not complete; the others count as known."""
        complete = self.known.complete.holds([a.ask_id for a in asks])
        fresh = [a for a, done in zip(asks, complete, strict=True) if not done]
        self.tally.known += len(asks) - len(fresh)
        self.tally.done += len(asks) - len(fresh)
        if not fresh:
            self.tell(self.tally)
        return fresh

    def ask(self, asks: Sequence[Ask]) -> None:
        """Settles every ask. Raises what ended the model's answers, after noting whom it left without."""
        fresh = [_Dialogue(a) for a in asks]
        while fresh:
            fresh = self._round(fresh)

    def answer(self, batch: dict[str, Request]) -> Iterator[Answer]:
        """One answer per encoded request by its key, stored ones first; fresh ones are stored as they come."""
        keys = list(batch)
        known = self.known.answered.holds([key_digest(key) for key in keys])
        old = {key for key, is_known in zip(keys, known, strict=True) if is_known}
        have = self._stored(old)
        yield from have.values()
        for kind in KINDS:
            fresh = {k: r for k, r in batch.items() if r.kind == kind and k not in have}
            for answer in self._answers(kind, fresh):
                yield answer
                self.writer.tick()

    def settle(self, ask: Ask, keys: Sequence[str], *, error: str | None = None, outcome: str | None = None) -> None:
        """Writes down how an ask that led its own conversation ended. outcome: what the task made of it, stored
        as the last of its answers."""
        dialogue = _Dialogue(ask, keys=list(keys), closed=True, error=error)
        if outcome is not None:
            key = outcome_key(self.model.identity, outcome)
            if not self.known.answered.holds([key_digest(key)])[0]:
                self.writer.add_answer(Answer(key=key, text=outcome, finish="outcome"))
                self.known.answered.add(key_digest(key))
            dialogue.keys.append(key)
        self._settle(dialogue, [])

    def _round(self, dialogues: list[_Dialogue]) -> list[_Dialogue]:
        """One batch; returns the dialogues that go on."""
        wanted: dict[str, tuple[Request, list[_Dialogue]]] = {}
        for dialogue in dialogues:
            self._prepare(dialogue, wanted)
        self._recall(wanted)
        again: list[_Dialogue] = []
        for dialogue in dialogues:
            if not dialogue.missing:
                self._settle(dialogue, again)
        try:
            for kind in KINDS:
                batch = {k: r for k, (r, _) in wanted.items() if r.kind == kind}
                for answer in self._answers(kind, batch):
                    _, waiting = wanted.pop(answer.key)
                    for dialogue in waiting:
                        self._deliver(dialogue, answer, again)
                    self.writer.tick()
        except Exception as error:
            waiting = [d for _, some in wanted.values() for d in some]
            self._abandon([*waiting, *again], reason(error))
            raise
        self._abandon([d for _, some in wanted.values() for d in some], "the model gave no answer")
        return again

    def _prepare(self, dialogue: _Dialogue, wanted: dict[str, tuple[Request, list[_Dialogue]]]) -> None:
        """Renders and encodes what comes next and queues it under its keys."""
        question = dialogue.ask.question
        if question.refused is not None or question.failed is not None:
            dialogue.closed, dialogue.error = True, question.failed
            return
        try:
            requests, dialogue.closed = question.requests, question.closed
            if dialogue.keys:
                answers_so_far = [dialogue.answers[key] for key in dialogue.keys]
                requests, dialogue.closed = requests_after(question.task, question.item, answers_so_far)
            for request in requests[len(dialogue.keys) :]:
                seeded = self.work.seeded(request, question.item, dialogue.ask.repeat)
                self._keep_images(question.task, seeded.images)
                encoded = self.model.encode(seeded)
                key = answer_key(self.model.identity, encoded)
                dialogue.keys.append(key)
                dialogue.missing += 1
                wanted.setdefault(key, (encoded, []))[1].append(dialogue)
        except Exception as error:  # noqa: BLE001 — one item's fault is that item's failure
            dialogue.error = f"cannot be asked: {reason(error)}"
            dialogue.closed, dialogue.missing = True, 0
            for key in {*dialogue.keys} & wanted.keys():
                waiting = wanted[key][1]
                waiting[:] = [d for d in waiting if d is not dialogue]
                if not waiting:
                    del wanted[key]

    def _keep_images(self, task: Task, names: Sequence[str]) -> None:
        """Stores the images of a request. Raises ValueError where the task has not got what it names."""
        for name in names:
            if name in self.kept:
                continue
            if not isinstance(task, Shows):
                raise ValueError(f"the task names the image {name} and has no method `image(name)` that gives it")
            data = task.image(name)
            if len(data) > MOST_IMAGE:
                raise ValueError(f"the image {name} has {len(data):,} bytes; at most {MOST_IMAGE:,} are stored")
            found = "sha256:" + hashlib.sha256(data).hexdigest()
            if found != name:
                raise ValueError(f"the image that the task names {name} is {found}: images are named by what they hold")
            self.kept.add(self.writer.add_blob(data))

    def _recall(self, wanted: dict[str, tuple[Request, list[_Dialogue]]]) -> None:
        """Takes known keys out of wanted, reading answers only where a task reads them."""
        keys = list(wanted)
        known = self.known.answered.holds([key_digest(key) for key in keys])
        old = [key for key, is_known in zip(keys, known, strict=True) if is_known]
        read = {key for key in old if any(not d.closed for d in wanted[key][1])}
        have = self._stored(read)
        for key in old:
            if key in read and key not in have:
                continue  # listed as known and not found: asked again
            for dialogue in wanted.pop(key)[1]:
                dialogue.missing -= 1
                if not dialogue.closed:
                    dialogue.answers[key] = have[key]

    def _stored(self, keys: set[str]) -> dict[str, Answer]:
        have = {key: a for key in keys if (a := self.writer.buffered(key)) is not None}
        if len(have) < len(keys):
            have.update(self.store.fetch(self.model.identity, keys - have.keys()))
        return have

    def _answers(self, kind: str, batch: dict[str, Request]) -> Iterator[Answer]:
        """The model's answers to a batch, checked, stored and timed."""
        if not batch:
            return
        verb = self.model.loglikelihood if kind == "loglikelihood" else self.model.generate
        asking, tally = self.writer.asking, self.tally
        clock = time.perf_counter
        began = clock()
        answers = iter(verb(list(batch.values())))
        while (answer := next(answers, None)) is not None:
            spent = clock() - began
            asking(spent)
            tally.seconds += spent
            request = batch.pop(answer.key, None)
            if request is None:
                raise ValueError(f"an answer to what was not asked: {answer.key[:12]}…")
            answer = checked(request, answer)
            tally.asked += 1
            tally.tokens += answer.tokens_in + answer.tokens_out
            self.writer.add_answer(answer)
            if answer.error is None:
                self.known.answered.add(key_digest(answer.key))
            yield answer
            began = clock()

    def _deliver(self, dialogue: _Dialogue, answer: Answer, again: list[_Dialogue]) -> None:
        dialogue.missing -= 1
        if answer.error is not None:
            dialogue.error = answer.error
        elif not dialogue.closed:
            dialogue.answers[answer.key] = answer
        if not dialogue.missing:
            self._settle(dialogue, again)

    def _abandon(self, dialogues: Sequence[_Dialogue], why: str) -> None:
        """Fails whoever has not come to an end; the same one may be named several times."""
        for dialogue in {id(d): d for d in dialogues}.values():
            dialogue.missing, dialogue.error = 0, dialogue.error or why
            self._settle(dialogue, [])

    def _settle(self, dialogue: _Dialogue, again: list[_Dialogue]) -> None:
        """Every answer of the round is in: the ask is over, or goes on."""
        question, tally = dialogue.ask.question, self.tally
        if dialogue.error is None and not dialogue.closed:
            again.append(dialogue)
            return
        state: State = "done"
        if question.refused is not None:
            state = "refused"
            tally.refused += 1
        elif dialogue.error is not None:
            state = "failed"
            tally.failed += 1
            if dialogue.error in tally.errors or len(tally.errors) < 100:
                tally.errors[dialogue.error] = tally.errors.get(dialogue.error, 0) + 1
        if question.item_hash is not None:
            self.writer.add_item(question.item_hash, question.item.id, question.raw)
        self.writer.add_ask(
            AskRow(
                self.model.identity,
                dialogue.ask.ask_id,
                question.task.name,
                version_of(question.task),
                question.condition,
                dialogue.ask.repeat,
                self.work.seed,
                question.index,
                question.item.id,
                question.item_hash,
                tuple(dialogue.keys),
                state,
                question.refused if state == "refused" else dialogue.error,
                time.time(),
            )
        )
        tally.done += 1
        self.tell(tally)


def checked(request: Request, answer: Answer) -> Answer:
    """The answer, or a failure where its numbers cannot be true."""
    if answer.error is not None:
        return answer
    numbers = answer.token_logprobs
    if not math.isfinite(sum(numbers)):
        return _spoiled(answer, "a log-probability is not a finite number")
    if request.kind == "loglikelihood" and request.continuation_ids is not None:
        wanted = len(request.continuation_ids)
        if len(numbers) != wanted:
            return _spoiled(answer, f"{len(numbers)} log-probabilities for {wanted} tokens")
    return answer


def _spoiled(answer: Answer, why: str) -> Answer:
    return replace(answer, error=why, token_logprobs=(), token_ranks=(), greedy=None)
