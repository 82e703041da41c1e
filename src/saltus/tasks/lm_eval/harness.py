"""Finds tasks of the lm-eval harness by name and builds them as the harness does, quietly.

The harness's own index of 14,000 names takes seconds, so a folder named by `include_path` is looked into alone
first, and its tasks come before the harness's own of the same name, as there. Only what the harness calls a
configurable task is taken: one written freely in Python makes requests that nobody can take apart again.
"""

from __future__ import annotations

import inspect
import json
import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from saltus import permissions
from saltus.errors import MissingExtra, UserError, nearest
from saltus.hashing import file_hash

SHOT_SEED = 1234
"""The harness's default `--seed` for worked examples."""


@contextmanager
def quiet() -> Iterator[None]:
    """The harness's warnings and the bars of `datasets` are held back: saltus says what matters itself."""
    try:
        import datasets
        import lm_eval.tasks  # noqa: F401
    except ImportError as error:
        raise MissingExtra("`lm_eval:` tasks", "lm-eval") from error
    logger = logging.getLogger("lm_eval")
    level, hidden = logger.level, datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if not hidden:
            datasets.enable_progress_bars()


@contextmanager
def _functions_need_permission(name: str) -> Iterator[None]:
    """Where the harness is about to import what `!function` names, the user is asked first.

    Its loader is not public; a contract test says when it has moved, and then nothing is imported at all.
    """
    from lm_eval.tasks import _yaml_loader as loader

    own, installed = loader._import_func_in_yml, Path(loader.__file__).parents[1]

    def asked(qualified: str, folder: Path) -> Any:
        where = Path(folder).resolve()
        if installed not in (where, *where.parents):
            file = where / f"{qualified.rpartition('.')[0].replace('.', '/')}.py"
            documents = sorted(p for ending in ("yaml", "yml") for p in where.glob(f"*.{ending}"))
            found = file.is_file()
            permissions.require(
                "python",
                file if found else where,
                None if found else documents,
                wanted_by=f"`!function {qualified}` of the task `lm_eval:{name}`",
            )
        return own(qualified, folder)

    loader._import_func_in_yml = asked
    try:
        yield
    finally:
        loader._import_func_in_yml = own


def build(name: str, include: Sequence[Path], base: Path) -> list[Any]:
    """The harness's tasks behind a name: one, or all those of a group or tag; or of a YAML file below base.

    Raises UserError for an unknown name, a folder that is not there, data that cannot be had, a broken YAML.
    """
    for folder in include:
        if not folder.is_dir():
            raise UserError(
                f"there is no folder `{folder}`",
                where=f"lm_eval:{name}: include_path",
                wanted="a folder of lm-eval task files (YAML)",
            )
    with quiet(), _functions_need_permission(name):
        spec = str(base / name) if name.endswith((".yaml", ".yml")) else name
        manager = _manager(spec, include)
        try:
            tasks = list(manager.load(spec)["tasks"].values())
        except UserError:
            raise
        except Exception as error:
            raise _unusable(name, error) from error
    if not tasks:
        raise UserError("this group has no tasks", where=f"lm_eval:{name}")
    for task in tasks:
        _refuse_foreign(task, name)
    return tasks


def set_shots(task: Any, shots: int | None, seed: int) -> int:
    """Sets the number of worked examples as the harness's evaluator does; the number that holds.

    Raises UserError where the task allows none and some are asked for, or there are not enough to show.
    """
    stated = task.get_config("num_fewshot")
    if shots is not None and stated == 0 and shots != 0:
        raise UserError(
            f"`num_fewshot` is {shots}, and the task fixes it at 0",
            where=f"lm_eval:{task.task_name}",
            wanted="no worked examples: lm-eval ignores the option here",
            do="leave `num_fewshot` out; for a group, name its tasks one by one",
        )
    holds = int(stated or 0) if shots is None else shots
    task.set_config(key="num_fewshot", value=holds)
    task.set_fewshot_seed(seed=seed)
    refuse_too_few(task, holds)
    return holds


def refuse_too_few(task: Any, shots: int) -> None:
    """Raises UserError where the task has fewer worked examples than that."""
    pool = getattr(getattr(task, "sampler", None), "df", None)
    own = task.fewshot_cfg.split is not None and task.fewshot_cfg.split == task.config.test_split
    have = len(pool or ()) - own
    if shots > max(0, have):
        raise UserError(
            f"{shots} worked examples are wanted, and there are {max(0, have)}",
            where=f"lm_eval:{task.task_name}",
            wanted="no more than the few-shot split holds" + (", the item itself left out" if own else ""),
            do="ask for fewer, or give the task a larger `fewshot_split`",
        )


def about(task: Any, n: int) -> dict[str, Any]:
    """Where a task of n documents comes from: versions, data set, hashes of its file and its whole configuration."""
    config = task.config
    source = Path(str((config.metadata or {}).get("config_source", "")))
    return {
        "lm_eval": version("lm_eval"),
        "task_version": str(task.VERSION),
        "output_type": config.output_type,
        "dataset": config.dataset_path,
        "dataset_name": config.dataset_name,
        "split": config.test_split or config.validation_split,
        "fewshot_split": task.fewshot_cfg.split,
        "num_fewshot": config.num_fewshot,
        "n": n,
        "yaml_sha256": file_hash(source) if source.is_file() else None,
        "sha256": _config_hash(task),
        "metrics": list(task.aggregation()),
        "filters": [f.name for f in task._filters],
    }


def _config_hash(task: Any) -> str:
    """Of the configuration with everything it includes, the source of its functions too, but no places on disk."""
    import hashlib

    config = task.dump_config()
    config.pop("dataset_kwargs", None)
    config["metadata"] = {k: v for k, v in (config.get("metadata") or {}).items() if k != "config_source"}
    text = json.dumps(config, sort_keys=True, default=_spelled)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _spelled(value: Any) -> str:
    if callable(value):
        try:
            return inspect.getsource(value)
        except (TypeError, OSError):
            return getattr(value, "__qualname__", type(value).__qualname__)
    return type(value).__qualname__


def _manager(spec: str, include: Sequence[Path]) -> Any:
    """The index that knows the name: that of the folders alone where that is enough, else with the harness's own."""
    from lm_eval.tasks import TaskManager

    if Path(spec).suffix and Path(spec).is_file():
        return TaskManager(include_path=[str(p) for p in include], include_defaults=False)
    if include:
        found = TaskManager(include_path=[str(p) for p in include], include_defaults=False)
        if _whole(spec, found.task_index):
            return found
    full = _full_index(tuple(map(str, include)), _stamp(include))
    if spec not in full.task_index:
        raise UserError(
            f"lm-eval has no task `{spec}`",
            where=f"lm_eval:{spec}",
            wanted=_near(spec, full.all_tasks),
            do="`lm-eval ls tasks` lists them; name a folder of your own with `include_path`",
        )
    return full


def _near(spec: str, known: Sequence[str]) -> str:
    """The nearest name; listing 14,000 helps nobody."""
    hint = nearest(spec, known)
    return hint if hint.startswith("did") else f"one of the {len(known):,} tasks of lm-eval"


@lru_cache(maxsize=2)
def _full_index(include: tuple[str, ...], stamp: float) -> Any:
    """stamp: when the files of `include` last changed."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=list(include))


def _stamp(include: Sequence[Path]) -> float:
    return max((p.stat().st_mtime for f in include for p in f.rglob("*.yaml")), default=0.0)


def _whole(name: str, index: Mapping[str, Any]) -> bool:
    """Whether the name, and what it consists of, is in the index."""
    if name not in index:
        return False
    parts = (index[name].cfg or {}).get("task")
    if not isinstance(parts, list):
        return True
    named = [p if isinstance(p, str) else p.get("task") or p.get("group") for p in parts]
    return all(isinstance(n, str) and _whole(n, index) for n in named)


def _refuse_foreign(task: Any, name: str) -> None:
    from lm_eval.api.task import ConfigurableTask

    where = f"lm_eval:{name}"
    elsewhere = "run it in lm-eval with `saltus.lm_eval.SaltusLM` and read its results: saltus analyze"
    if not isinstance(task, ConfigurableTask):
        raise UserError(
            f"`{type(task).__name__}` is written in Python, without a configuration",
            where=where,
            wanted="a configurable task (YAML)",
            do=elsewhere,
        )
    if getattr(task, "MULTIMODAL", False):
        raise UserError(
            f"`{task.task_name}` shows images or plays sounds",
            where=where,
            wanted="a task of text",
            do="ask it through Inspect: `inspect:`",
        )


def _unusable(name: str, error: Exception) -> UserError:
    """What went wrong, and whether it is the data set or the task's file."""
    where, message = f"lm_eval:{name}", f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
    frames = list(traceback.walk_tb(error.__traceback__))
    if any(frame.f_code.co_name == "download" for frame, _ in frames):
        owner = next(f.f_locals["self"] for f, _ in frames if f.f_code.co_name == "download")
        data = owner.DATASET_PATH + (f" ({owner.DATASET_NAME})" if owner.DATASET_NAME else "")
        return UserError(
            f"the data set `{data}` of `{owner.config.task or name}` cannot be loaded: {message}",
            where=where,
            wanted="its files in the cache of `datasets`, or a connection to where they lie",
            do="load it once where there is a connection and copy the folder that HF_HOME names; local files go "
            "into the task's YAML: `dataset_path: json` with `dataset_kwargs: {data_files: …}`; "
            "HF_HUB_OFFLINE=1 spares the waiting",
        )
    return UserError(
        f"lm-eval cannot build the task: {message}",
        where=where,
        wanted="a task that `lm-eval run` accepts",
        do="fix its YAML file, or load what it names where there is a connection",
    )
