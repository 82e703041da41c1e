"""Running texts longer than a network's window, cut into disjoint windows that predict every token once.

A request without a prompt asks for a whole text. Where the text is too long for one forward pass it is cut as lm-eval
cuts its rolling requests (`get_rolling_token_windows` with `context_len=1`, then `make_disjoint_window`): windows
stand end to end, each after the first is given the one token before it, and the last one, which predicts what is
left, is given as much of the text before it as fits. So the first tokens of a window are predicted from little: the
sum depends on the window, and models of different windows are not quite comparable. Nothing else is ever cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from saltus.models.local.rows import Row, Scored

Ids = Sequence[int]


def disjoint(prefix: Ids, ids: Ids, window: int) -> Iterator[tuple[Ids, Ids]]:
    """(context, tokens to predict) of every window; a network reads at most `window` tokens of each.

    prefix: one token or more that stand before the text; ids: all its tokens, each predicted exactly once.
    """
    end = min(len(ids), window - len(prefix) + 1)
    yield prefix, ids[:end]
    while end < len(ids):
        start, end = end, min(len(ids), end + window)
        yield ids[max(0, end - window - 1) : start], ids[start:end]


class Cut:
    """Rows of many requests, several of one that was cut; `together` puts their scores together again."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._owner: list[int] = []
        self._parts: dict[int, int] = {}
        """Request → its rows, where there are several."""

    def add(self, request: int, parts: Sequence[tuple[Ids, Ids]]) -> None:
        """A request as its windows, in order."""
        for context, given in parts:
            self.rows.append(Row(len(self.rows), tuple(context), tuple(given)))
            self._owner.append(request)
        if len(parts) > 1:
            self._parts[request] = len(parts)

    def together(self, scored: Iterable[Scored]) -> Iterator[tuple[int, int, Scored]]:
        """(request, its windows, its whole continuation), as the last window of each comes."""
        waiting: dict[int, list[Scored]] = {}
        for one in scored:
            request = self._owner[one.index]
            wanted = self._parts.get(request, 1)
            if wanted == 1:
                yield request, 1, one
                continue
            parts = waiting.setdefault(request, [])
            parts.append(one)
            if len(parts) == wanted:
                yield request, wanted, _joined(waiting.pop(request))


def _joined(parts: list[Scored]) -> Scored:
    parts.sort(key=lambda part: part.index)
    return Scored(
        parts[0].index,
        tuple(x for part in parts for x in part.logprobs),
        tuple(x for part in parts for x in part.ranks),
        sum(part.seconds for part in parts),
    )
