"""What a model says of itself: one frozen record, stored with the answers, shown by `doctor` and in reports.

Everything but `kind` may be left out; what an adapter does not know stays None, and None never overwrites what an
earlier run found out about the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Bos:
    """What stands at the beginning of a sequence."""

    policy: str | None = None
    """The study's `ask.bos`: auto, always or never."""
    prepended: bool | None = None
    """Whether a token is put first; None where somebody else decides."""
    id: int | None = None
    token: str | None = None
    tokenizer_prepends: tuple[int, ...] = ()
    """Ids that the tokenizer itself puts before plain text."""
    empty_prompt: Any = None
    """What stands for an empty prompt."""
    by: str | None = None
    """Who puts it there, where that is not us: the server, the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The chat template around a prompt."""

    policy: str | None = None
    """The study's `ask.template`: none or auto."""
    has_one: bool | None = None
    applied: bool | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """How text becomes tokens."""

    kind: str | None = None
    """Name of its class."""
    size: int | None = None
    hash: str | None = None
    """Over its files."""
    fingerprint: str | None = None
    """Over how it splits text, whatever its files are called."""
    folder: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Provenance of one opened model."""

    kind: str = "unknown"
    """How it is reached: transformers, openai, inspect, scripted, …"""
    verified: bool = True
    """False for endpoints, whose weights nobody can hash."""
    architecture: str | None = None
    params: float | None = None
    dtype: str | None = None
    """Number format the weights are computed in."""
    quantisation: str | None = None
    """What the weights were stored as, where that is coarser than `dtype`."""
    weights_hash: str | None = None
    """Over weights and the parts of the configuration that shape what is computed."""
    window: int | None = None
    """Most tokens in one sequence."""
    vocabulary: int | None = None
    """Tokens that the network knows."""
    bos: Bos = Bos()
    template: Template = Template()
    tokenizer: Tokenizer = Tokenizer()
    device: str | None = None
    self_check: float | None = None
    """Nats between batched and single scores of the same text: the noise floor. None until weights were read."""
    engine: Mapping[str, Any] | None = None
    """How log-likelihoods are computed. None until weights were read."""
    double_bos: int | None = None
    """Prompts that began with two BOS; likewise the next two. None: none was seen."""
    empty_prompts: int | None = None
    boundary_tokens_split: int | None = None
    """Texts in which a token would have spanned prompt and continuation."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What only this kind of model has; plain data, under names of its own."""

    _PARTS: ClassVar[Mapping[str, type]] = {"bos": Bos, "template": Template, "tokenizer": Tokenizer}

    def plain(self) -> dict[str, Any]:
        """As JSON has it: every field, and those of `detail` beside them. Raises ValueError where one hides another."""
        out = asdict(self)
        detail = out.pop("detail")
        hidden = sorted(out.keys() & detail.keys())
        if hidden:
            raise ValueError(f"detail must not hold {', '.join(hidden)}: the record has a field of that name")
        return {**out, **detail}

    @classmethod
    def of(cls, found: Description | Mapping[str, Any]) -> Description:
        """From what `plain` gave, or a mapping of an adapter's own; a lone word for BOS or template is its policy."""
        if isinstance(found, Description):
            return found
        own = {f.name for f in fields(cls)} - {"detail"}
        values: dict[str, Any] = {k: v for k, v in found.items() if k in own}
        for name, kind in cls._PARTS.items():
            if name in values:
                values[name] = _part(kind, values[name])
        return cls(**values, detail={k: v for k, v in found.items() if k not in own})


def _part(kind: type, stated: Any) -> Any:
    if isinstance(stated, kind):
        return stated
    if not isinstance(stated, Mapping):
        return kind(policy=str(stated)) if stated is not None and kind is not Tokenizer else kind()
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    values = {k: v for k, v in stated.items() if k in known}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
