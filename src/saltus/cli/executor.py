"""The executor that `--shard`, `--on`, `--workers` and `--threads` name."""

from __future__ import annotations

from saltus.errors import UserError
from saltus.runner.here import Executor, Here, here, shard


def chosen(
    shard_of: str | None = None, on: str | None = None, *, workers: int | None = None, threads: int | None = None
) -> Executor:
    """The executor that the command line's `--shard`, `--on`, `--workers` and `--threads` name. Raises UserError."""
    if on is None:
        for option, value in (("--workers", workers), ("--threads", threads)):
            if value is not None:
                raise UserError(f"{option} {value} without --on", do="add --on ray, or leave it out")
        return here() if shard_of is None else _parsed(shard_of)
    if shard_of is not None:
        raise UserError(
            "--shard and --on together",
            wanted="one of them: a batch scheduler's job, or the workers of a cluster",
            do="leave one of them out",
        )
    kind, _, address = on.partition(":")
    if kind != "ray":
        raise UserError(f"--on {on}", wanted="ray, or ray:ADDRESS", do="fix --on")
    from saltus.runner.ray import Ray  # reads the environment on import

    return Ray(address or None, workers=workers, threads=threads)


def _parsed(text: str) -> Here:
    i, slash, n = text.partition("/")
    if not (slash and i.isdigit() and n.isdigit()):
        raise UserError(f"--shard {text}", wanted="i/n with i from 1 to n, such as 3/16", do="fix --shard")
    return shard(int(i), int(n))
