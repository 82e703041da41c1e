"""Asks for tasks that lead their own conversations: every turn goes through the store, as any other question does.

A turn whose answer is stored is not asked again, so a run that was stopped, or a scorer that changed, plays the
conversations once more up to where new ground begins. Turns that come together go to the model as one batch. Limit:
the next batch waits for the slowest answer of the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from saltus.errors import reason
from saltus.hashing import content_hash, seed_from
from saltus.models.base import answer_key
from saltus.records import Answer, Request
from saltus.runner.pool import Pool
from saltus.runner.questions import Ask
from saltus.tasks.base import Conducts, Over, Turn


def conduct(pool: Pool, asks: Sequence[Ask]) -> None:
    """Settles every ask, task by task. Raises what ended the model's answers, after noting whom it left without."""
    by_task: dict[str, list[Ask]] = {}
    for ask in asks:
        by_task.setdefault(ask.question.task.name, []).append(ask)
    for some in by_task.values():
        _Hall(pool, some).run()


@dataclass
class _Hall:
    """The conversations about one task's asks."""

    pool: Pool
    asks: Sequence[Ask]
    open: dict[int, list[str]] = field(default_factory=dict)
    """Index of an ask that goes on → keys of its answers so far."""
    times: Counter[tuple[int, str]] = field(default_factory=Counter)
    """(index of an ask, a sampled request) → how often it was made."""

    def run(self) -> None:
        able = []
        for ask in self.asks:
            if ask.question.refused is not None or ask.question.failed is not None:
                self.pool.settle(ask, (), error=ask.question.failed)
            else:
                able.append(ask)
        self.asks, self.open = able, {i: [] for i in range(len(able))}
        if not able:
            return
        task = able[0].question.task
        assert isinstance(task, Conducts)
        talk = task.conduct([ask.question.item for ask in able], self.pool.model.offers)
        try:
            self._follow(talk)
        except Exception as error:
            self._abandon(reason(error))
            raise
        finally:
            talk.close()

    def _follow(self, talk: Iterator[Sequence[Turn | Over]]) -> None:
        while True:
            try:
                events = next(talk)
            except StopIteration:
                return self._abandon("its conversation was not brought to an end")
            except Exception as error:  # noqa: BLE001 — the task's fault, not the model's
                return self._abandon(f"the task failed: {reason(error)}")
            self._reply([e for e in events if isinstance(e, Turn)])
            for event in events:
                if isinstance(event, Over):
                    self._over(event)
            self.pool.writer.tick()

    def _reply(self, turns: Sequence[Turn]) -> None:
        """Answers a batch of turns, each distinct request once."""
        batch: dict[str, Request] = {}
        waiting: dict[str, list[Callable[[Answer], None]]] = {}
        model, work = self.pool.model, self.pool.work
        for turn in turns:
            ask = self.asks[turn.index]
            try:
                seeded = work.seeded(turn.request, ask.question.item, ask.repeat)
                encoded = model.encode(self._distinguished(turn.index, seeded))
                key = answer_key(model.identity, encoded)
            except Exception as error:  # noqa: BLE001 — one turn's fault is that conversation's failure
                turn.reply(Answer(key="", error=f"cannot be asked: {reason(error)}"))
                continue
            self.open[turn.index].append(key)
            batch[key] = encoded
            waiting.setdefault(key, []).append(turn.reply)
        for answer in self.pool.answer(batch):
            for reply in waiting.pop(answer.key, ()):
                reply(answer)
        for key, replies in waiting.items():
            for reply in replies:
                reply(Answer(key=key, error="the model gave no answer"))

    def _distinguished(self, index: int, request: Request) -> Request:
        """Another seed where one conversation samples the same question again, as for a vote of several answers."""
        if request.settings.temperature <= 0:
            return request
        place = (index, content_hash(request))
        self.times[place] += 1
        again = self.times[place] - 1
        return replace(request, seed=seed_from(request.seed, again)) if again else request

    def _over(self, end: Over) -> None:
        keys, ask = self.open.pop(end.index), self.asks[end.index]
        if end.refused is not None:
            ask = Ask(replace(ask.question, refused=end.refused), ask.repeat, ask.ask_id)
        self.pool.settle(ask, keys, error=end.error, outcome=end.outcome)

    def _abandon(self, why: str) -> None:
        for index in list(self.open):
            self._over(Over(index, error=why))
