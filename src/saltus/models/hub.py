"""The scheme `hf:`: repositories and revisions of the Hugging Face hub, or offline of its cache.

`hf:EleutherAI/pythia-{params}@step{step}` asks every revision (branch or tag) whose name matches, of every
repository that does; without `@` the revision is `main`. A revision is pinned to its commit when it is listed.
Online the hub at HF_ENDPOINT lists them, offline (HF_HUB_OFFLINE, or no connection) the cache under HF_HOME
does. On opening only small files are fetched: the hub knows the SHA-256 of the weights, which are fetched on
the first question.

Options of an entry: `device_map` (transformers' own), and for a captured name a list of the values wanted
(`params: [70m, 160m]`, `step: [0, 512]`).
Limits: where a hole in a repository's name is not given such a list, the hub's search decides what can be
found.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from saltus.errors import MissingExtra, UserError, nearest
from saltus.models.base import Model, ModelError
from saltus.models.checkpoints import patterns
from saltus.models.checkpoints.weights import TOKENIZER_FILES, Checkpoint, known_hash
from saltus.models.local.loading import checked_spread
from saltus.records import AskPolicy, ModelRef, SeriesEntry

SMALL = (
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    *TOKENIZER_FILES,
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubAdapter:
    """The entry point `hf`."""

    def series(self, entry: SeriesEntry, ask: AskPolicy, base: Path) -> Sequence[ModelRef]:
        where = f"hf:{entry.source}"
        repo_pattern, _, revision_pattern = entry.source.partition("@")
        revision_pattern = revision_pattern or "main"
        if repo_pattern.count("/") > 1 or not repo_pattern:
            raise UserError(
                f"`{repo_pattern}` is no repository of the hub",
                where=where,
                wanted="hf:organisation/name or hf:organisation/name@revision",
            )
        names = patterns.names_in(entry.source, where)
        patterns.check_options(entry.options, names, ("device_map",), where)
        checked_spread(entry.options.get("device_map"), where)
        hub = Hub()
        refs, seen = [], {}
        for repo, of_repo in _repositories(hub, repo_pattern, entry, where):
            seen[repo] = hub.revisions(repo, where)
            for revision, commit in _matching(seen[repo], patterns.fill(revision_pattern, of_repo)):
                captured = {**of_repo, **(patterns.match(revision_pattern, revision) or {})}
                if patterns.chosen(captured, entry.options):
                    ref = _ref(entry, repo_pattern, repo, revision, captured)
                    refs.append((ref, commit))
        if not refs:
            raise _nothing(entry, revision_pattern, seen, hub)
        whole = [_pinned(ref, commit, hub) for ref, commit in refs]
        per_step = entry.tokens_per_step
        return patterns.in_order([patterns.complete(r, tokens_per_step=per_step) for r in whole])

    def open(self, ref: ModelRef, ask: AskPolicy) -> Model:
        from saltus.models.local.model import TransformersModel

        commit = str(ref.recipe.get("commit") or ref.revision or "main")
        return TransformersModel(ref, Hub().checkpoint(ref.location, commit), ask)


adapter = HubAdapter()


class Hub:
    """The hub at HF_ENDPOINT with its cache; the environment is read again for each one."""

    def __init__(self) -> None:
        try:
            from huggingface_hub import HfApi, constants, errors
        except ImportError as error:
            raise MissingExtra("hf:", "hf") from error
        home = os.environ.get("HF_HOME")
        named = os.environ.get("HF_HUB_CACHE") or (f"{home}/hub" if home else constants.HF_HUB_CACHE)
        self.cache = Path(named).expanduser()
        self.api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or constants.ENDPOINT)
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
        self.offline = offline or constants.HF_HUB_OFFLINE
        self.failures = (OSError, errors.HTTPError, errors.HFValidationError)
        self._params: dict[str, int | None] = {}

    def folder(self, repo: str) -> Path:
        """The cache's folder of a repository, whether or not it is there."""
        return self.cache / ("models--" + repo.replace("/", "--"))

    def revisions(self, repo: str, where: str) -> dict[str, str]:
        """Name of every branch and tag -> commit; from the cache where the hub cannot be asked."""
        why = "HF_HUB_OFFLINE is set"
        if not self.offline:
            try:
                refs = self.api.list_repo_refs(repo)
                return {r.name: r.target_commit for r in (*refs.branches, *refs.tags)}
            except self.failures as error:
                why = str(error).partition("\n")[0]
        found = self._cached_revisions(repo)
        if not found:
            raise UserError(
                f"the repository {repo} can be neither reached ({why}) nor found in the cache {self.cache}",
                where=where,
                wanted=nearest(repo, self.cached_repositories()),
                do="check its name and the connection; a private one needs HF_TOKEN",
            )
        return found

    def _cached_revisions(self, repo: str) -> dict[str, str]:
        refs, snapshots = self.folder(repo) / "refs", self.folder(repo) / "snapshots"
        found = {
            path.relative_to(refs).as_posix(): path.read_text(encoding="utf-8").strip()
            for path in sorted(refs.rglob("*"))
            if path.is_file()
        }
        commits = {p.name: p.name for p in snapshots.iterdir()} if snapshots.is_dir() else {}
        return {name: commit for name, commit in found.items() if commit in commits} | {
            commit: commit for commit in commits if commit not in found.values()
        }

    def repositories(self, pattern: str) -> list[str]:
        """Names of repositories that match, from the hub's search or the cache."""
        organisation, _, name = pattern.rpartition("/")
        if not self.offline and not patterns.has_holes(organisation):
            stem = re.split(r"[{*]", name)[0]
            try:
                models = self.api.list_models(author=organisation or None, search=stem or None)
                return sorted(m.id for m in models if patterns.match(pattern, m.id) is not None)
            except self.failures:
                return self._cached_matching(pattern)
        return self._cached_matching(pattern)

    def _cached_matching(self, pattern: str) -> list[str]:
        return [r for r in self.cached_repositories() if patterns.match(pattern, r) is not None]

    def cached_repositories(self) -> list[str]:
        """Every model repository of the cache."""
        folders = sorted(self.cache.glob("models--*")) if self.cache.is_dir() else []
        return [folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders]

    def checkpoint(self, repo: str, commit: str) -> Checkpoint:
        """The checkpoint of a commit (or revision): from the cache where whole, else as the hub describes it."""
        commit = self._cached_revisions(repo).get(commit, commit)
        cached = Checkpoint(self.folder(repo) / "snapshots" / commit)
        if self.offline or _is_whole(cached):
            if not cached.folder.is_dir():
                raise ModelError(f"{repo}@{commit} is not in the cache {self.cache} and HF_HUB_OFFLINE is set")
            return cached
        info = self.info(repo, commit)
        remote = {s.rfilename: s.lfs.sha256 if s.lfs else None for s in info.siblings}
        for name in SMALL:
            if name in remote:
                self.fetch(repo, info.sha, name)
        params = info.safetensors.total if info.safetensors else None
        return HubCheckpoint(
            folder=self.folder(repo) / "snapshots" / info.sha,
            remote=remote,
            total=params,
            get=lambda name: self.fetch(repo, info.sha, name),
        )

    def info(self, repo: str, revision: str) -> Any:
        """What the hub says of a revision: commit, files with their hashes, parameters. Raises ModelError."""
        try:
            return self.api.model_info(repo, revision=revision, files_metadata=True)
        except self.failures as error:
            raise ModelError(f"{repo}@{revision}: the hub does not answer: {error}") from error

    def params(self, repo: str, commit: str) -> int | None:
        """Parameters of a repository's models, counted once for all its revisions; None where that fails."""
        if repo not in self._params:
            cached = Checkpoint(self.folder(repo) / "snapshots" / commit)
            try:
                if self.offline or _is_whole(cached):
                    return self._params.setdefault(repo, cached.params)
                about = self.info(repo, commit).safetensors
                self._params[repo] = about.total if about else None
            except ModelError:
                return None  # perhaps the next revision is whole
        return self._params[repo]

    def fetch(self, repo: str, commit: str, name: str) -> None:
        """Brings one file into the cache. Raises ModelError."""
        try:
            self.api.hf_hub_download(repo, name, revision=commit, cache_dir=self.cache)
        except self.failures as error:
            raise ModelError(
                f"{repo}@{commit}: {name} cannot be fetched: {error}; run the same command again to go on"
            ) from error


@dataclass(frozen=True)
class HubCheckpoint(Checkpoint):
    """A checkpoint of which only small files need to be here; the hub has listed which others there are."""

    remote: Mapping[str, str | None]
    """File name -> SHA-256 where the hub keeps it as a large file."""
    total: int | None
    """Parameters, as the hub counted them."""
    get: Callable[[str], None]

    def has(self, name: str) -> bool:
        return name in self.remote

    @cached_property
    def pickles(self) -> tuple[Path, ...]:
        names = sorted(n for n in self.remote if re.fullmatch(r"pytorch_model[^/]*\.bin", n))
        return tuple(self.folder / name for name in names)

    @property
    def params(self) -> int | None:
        return self.total if self.total is not None or not self._here() else super().params

    def check(self) -> None:
        """Config and the list of files; the files themselves are checked as they come."""
        self.check_listing()

    def file_hashes(self) -> list[str]:
        found = []
        for path in self.weight_files or self.pickles:
            known = self.remote[path.name]
            if known is None:
                self.get(path.name)
            found.append(f"sha256:{known}" if known else known_hash(path))
        return found

    def fetch(self) -> None:
        for path in self.weight_files or self.pickles:
            self.get(path.name)

    def _here(self) -> bool:
        return all(path.exists() for path in self.weight_files)


def _is_whole(checkpoint: Checkpoint) -> bool:
    """Whether the cache holds config and every weight of a snapshot; an interrupted download does not."""
    try:
        checkpoint.check()
    except ModelError:
        return False
    return any(checkpoint.has(name) for name in TOKENIZER_FILES)


def _repositories(hub: Hub, pattern: str, entry: SeriesEntry, where: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(repository, what its name captures)."""
    names = patterns.names_in(pattern)
    if not patterns.has_holes(pattern):
        yield pattern, {}
    elif all(isinstance(entry.options.get(name), list) for name in names):
        for values in itertools.product(*(entry.options[name] for name in names)):
            captured = {name: str(value) for name, value in zip(names, values, strict=True)}
            yield patterns.fill(pattern, captured), captured
    else:
        found = hub.repositories(pattern)
        if not found:
            raise UserError(
                f"no repository matches `{pattern}`",
                where=where,
                wanted=nearest(pattern, hub.cached_repositories()),
                do="list the values, e.g. `params: [70m, 160m]`, or check the connection",
            )
        for repo in found:
            yield repo, patterns.match(pattern, repo) or {}


def _matching(revisions: Mapping[str, str], pattern: str) -> Iterator[tuple[str, str]]:
    if _COMMIT.fullmatch(pattern):
        yield pattern, pattern
        return
    for name, commit in revisions.items():
        if patterns.match(pattern, name) is not None:
            yield name, commit


def _ref(entry: SeriesEntry, repo_pattern: str, repo: str, revision: str, captured: Mapping[str, str]) -> ModelRef:
    apart = {k: v for k, v in captured.items() if k != "seed"}
    name = patterns.label(patterns.fill(repo_pattern, apart)) or repo
    coords: dict[str, float | str] = {"model": name}
    coords |= {k: patterns.value(k, v) for k, v in captured.items()} | dict(entry.coords)
    series = entry.series or patterns.label(repo_pattern) or repo
    spread = entry.options.get("device_map")
    recipe = {} if spread is None else {"device_map": spread}
    return ModelRef(adapter="hf", location=repo, revision=revision, series=series, coords=coords, recipe=recipe)


def _pinned(ref: ModelRef, commit: str, hub: Hub) -> ModelRef:
    """The ref with its commit and, where no name states them, the repository's parameters."""
    recipe, coords = {**ref.recipe, "commit": commit}, dict(ref.coords)
    params = None if "params" in coords else hub.params(ref.location, commit)
    if params:
        coords["params"] = params
        recipe["derived"] = {"params": "counted from the safetensors headers"}
    return replace(ref, coords=coords, recipe=recipe)


def _nothing(entry: SeriesEntry, pattern: str, seen: Mapping[str, Mapping[str, str]], hub: Hub) -> UserError:
    repo, revisions = next(iter(seen.items()))
    named = [r for r in revisions if not _COMMIT.fullmatch(r)]
    shown = ", ".join(named[:8]) + (f" and {len(named) - 8} more" if len(named) > 8 else "")
    source = f"the cache {hub.cache}" if hub.offline else "the hub"
    return UserError(
        f"no revision of {repo} matches `{pattern}`; {source} has {shown or 'none'}",
        where=f"hf:{entry.source}",
        wanted=nearest(pattern, named),
        do="fix what follows the @; `{name}` captures a number or a word",
    )
