"""The commands, each thin: parse, call, show, exit.

Exit codes: 0 done (a refuted hypothesis is a result), 1 a gate failed or, under --strict, a hypothesis was not kept,
2 the user's input is at fault, 3 finished with stored failures, 130 interrupted (what was answered is stored).
Everything heavy is imported inside a command, so `saltus --help` stays quick.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from saltus import permissions
from saltus._version import __version__
from saltus.cli import listing, planning
from saltus.cli import options as opt
from saltus.cli.output import fail, json_out, rich_print, say
from saltus.errors import UserError

if TYPE_CHECKING:
    from saltus.analysis.analyze import Analysed
    from saltus.runner.here import Executor
    from saltus.runner.loop import RunReport

app = typer.Typer(
    name="saltus",
    help="Measures whether behaviours of large deep models emerge, with stated error rates.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        sys.stdout.write(f"saltus {__version__}\n")
        raise typer.Exit(0)


@app.command()
def demo(out: opt.Out = Path("saltus-demo"), as_json: opt.Json = False, strict: opt.Strict = False) -> None:
    """Train three small model series, ask them, judge, and write a report."""
    from saltus.runner.demo import prepare
    from saltus.runner.here import here

    document = prepare(out, show=not as_json)
    _run_study(document, out=out, as_json=as_json, strict=strict, executor=here())


@app.command()
def new(name: Annotated[str, typer.Argument(help="Name of the study.")]) -> None:
    """Write a commented study document to begin with."""
    from saltus.study.new import write_template

    path = write_template(name)
    say(f"Wrote {path}. Edit it, then: saltus run {path} --dry-run")


@app.command()
def run(
    source: Annotated[str, typer.Argument(help="A study.yaml, or a model source such as dir:out/step-{step}.")],
    task: opt.Tasks = None,
    include_path: opt.IncludePath = None,
    settings: opt.Settings = None,
    limit: opt.Limit = None,
    dry_run: opt.DryRun = False,
    shard: opt.Shard = None,
    on: opt.On = None,
    workers: opt.Workers = None,
    threads: opt.Threads = None,
    locate: opt.Locate = False,
    interval: opt.Interval = None,
    allow: opt.Allow = None,
    as_json: opt.Json = False,
    strict: opt.Strict = False,
) -> None:
    """Ask the models, judge the answers, write findings and a report beside the study."""
    permissions.grant(allow or ())
    from saltus.cli.executor import chosen
    from saltus.study.new import document_for

    executor: Executor | None = chosen(shard, on, workers=workers, threads=threads)
    path = document_for(source, task or [], limit, include_path or (), settings or ())
    if dry_run:
        _dry_run(path, as_json)
        return
    if locate:
        if shard is not None or on is not None:
            where = "--on" if shard is None else "--shard"
            raise UserError("--locate goes with one process", where=where, do="leave one out")
        _locate(path, interval, as_json)
        executor = None
    _run_study(path, out=None, as_json=as_json, strict=strict, executor=executor, part=shard)


@app.command()
def analyze(
    sources: Annotated[list[str], typer.Argument(help="A study.yaml, or results files and folders.")],
    out: opt.Out = Path("saltus-analysis"),
    axis: opt.Axes = None,
    series: opt.Series = None,
    twin: opt.Twin = None,
    factor: opt.Factor = None,
    slices: opt.Slice = None,
    rename: opt.Rename = None,
    wide: opt.Wide = None,
    metric: opt.Metric = None,
    percent: opt.Percent = None,
    lower: opt.Lower = None,
    higher: opt.Higher = None,
    coords: opt.Coords = None,
    pattern: opt.Pattern = None,
    check: opt.Checks = None,
    form: opt.Formats = None,
    allow: opt.Allow = None,
    as_json: opt.Json = False,
    strict: opt.Strict = False,
) -> None:
    """Judge published results, or a study's stored answers; no model is opened."""
    permissions.grant(allow or ())
    from saltus.analysis.analyze import analyze_results, analyze_study, refuse_other, write
    from saltus.analysis.choices import parse_choices, parse_reading

    choices = parse_choices(
        axis=axis, series=series, twin=twin, factor=factor, slices=slices, rename=rename, checks=check, formats=form
    )
    reading = parse_reading(
        wide=wide, metric=metric, percent=percent, coords=coords, pattern=pattern, lower=lower, higher=higher
    )
    choices = replace(choices, **reading)
    if len(sources) == 1 and Path(sources[0]).suffix in (".yaml", ".yml"):
        analysed = analyze_study(Path(sources[0]), choices)
    else:
        analysed = analyze_results(sources, choices)
    refuse_other(analysed, out, opt.typed_with_out)
    page = write(analysed, out)
    _show(analysed, page, as_json)
    _exit(analysed, strict=strict)


@app.command()
def report(
    source: Annotated[Path, typer.Argument(help="A study.yaml, or a folder written by analyze.")],
    allow: opt.Allow = None,
) -> None:
    """Write the report again from what is stored."""
    permissions.grant(allow or ())
    from saltus.analysis.analyze import analyze_study, rewrite, write
    from saltus.runner.open import store_path

    page = rewrite(source) if source.is_dir() else write(analyze_study(source), store_path(source))
    say(f"Wrote {page}")


@app.command()
def lock(study: Annotated[Path, typer.Argument(help="A study.yaml.")], as_json: opt.Json = False) -> None:
    """Write the study's hash down before looking: preregistration."""
    from saltus.runner.open import lock_study
    from saltus.study.lock import lock_path

    made = lock_study(study)
    if as_json:
        json_out({"study_id": made.study_id, "locked_at": made.locked_at, "answers_already": made.answers_already})
        return
    say(f"Locked {study.name} as {made.study_id} on {made.locked_at} in {lock_path(study)}")
    if made.answers_already:
        say(f"{made.answers_already:,} answers existed by then: this is not a preregistration.")
    else:
        say("No answers existed.")


@app.command()
def verify(
    source: Annotated[Path, typer.Argument(help="A study.yaml or its store.")], as_json: opt.Json = False
) -> None:
    """Hash every stored answer again and check the log's chain."""
    from saltus.runner.open import missing_store, open_store

    store = open_store(source)
    if not store.exists():
        raise missing_store(source)
    problems = store.verify()
    # What a kill leaves behind is no damage: nothing that was committed is lost.
    damage = [problem for problem in problems if problem.severity == "damage"]
    if as_json:
        json_out({"ok": not damage, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            say(f"{problem.severity}: {problem.where}: {problem.what}")
        whole = f"All {store.answers_count():,} answers are as they were written."
        say(f"{len(damage)} places are damaged." if damage else whole)
    raise typer.Exit(1 if damage else 0)


@app.command()
def migrate(
    source: Annotated[Path, typer.Argument(help="A study.yaml or its store, written by saltus 0.1.")],
    as_json: opt.Json = False,
) -> None:
    """Rewrite a store of an earlier release in today's format; the old one is kept beside it."""
    from saltus.runner.open import store_path
    from saltus.store.migrate import migrate as rewrite

    folder = store_path(source) if source.suffix in (".yaml", ".yml") else source
    done = rewrite(folder)
    if as_json:
        json_out(asdict(done))
    else:
        say(f"Rewrote {done.segments:,} segments with {done.answers:,} answers. The old store is {done.kept}")


@app.command()
def calibrate(
    out: Annotated[Path | None, typer.Option("--out", help="Write the figures as JSON.")] = None,
    n: Annotated[int, typer.Option("--n", help="Simulated truths in all.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulation.")] = 17,
    as_json: opt.Json = False,
) -> None:
    """Simulate known truth and say how often the verdict is wrong."""
    from saltus.calibrate import calibrate as measure
    from saltus.calibrate.tables import render
    from saltus.records import Analysis

    result = measure(n=n, seed=seed, analysis=Analysis())
    if out is not None:
        out.write_text(result.to_json() + "\n", encoding="utf-8")
    if as_json:
        sys.stdout.write(result.to_json() + "\n")
    else:
        rich_print(render(result))


@app.command()
def export(
    study: Annotated[Path, typer.Argument(help="A study.yaml.")],
    to: Annotated[Path, typer.Option("--to", help="A .parquet or .csv file; a folder for --as.")],
    items: Annotated[bool, typer.Option("--items", help="One row per item instead of per number.")] = False,
    form: Annotated[str | None, typer.Option("--as", help="every-eval-ever, inspect or inspect-json.")] = None,
    by: Annotated[str, typer.Option("--by", help="Who publishes the records.")] = "unknown",
    developer: Annotated[str, typer.Option("--developer", help="Who made the models.")] = "unknown",
    allow: opt.Allow = None,
) -> None:
    """Write the results table of a study, for any other tool."""
    permissions.grant(allow or ())
    from saltus.export.table import export_records, export_table

    if form is not None:
        written = export_records(study, to, form, by=by, developer=developer, items=items)
        say(f"Wrote {written.results:,} results and {written.samples:,} samples to {to}")
        for why, count in written.left_out.items():
            say(f"Left out: {count:,}: {why}")
        return
    rows = export_table(study, to, items=items)
    say(f"Wrote {rows:,} rows to {to}")


@app.command()
def doctor(
    source: Annotated[str, typer.Argument(help="One model, e.g. dir:out/checkpoint-500, or a study.yaml.")],
    task: opt.OneTask = None,
    include_path: opt.IncludePath = None,
    settings: opt.Settings = None,
    allow: opt.Allow = None,
    as_json: opt.Json = False,
) -> None:
    """Open one model and show BOS, template, speed and a prompt exactly as asked."""
    permissions.grant(allow or ())
    from saltus.cli.show_doctor import render
    from saltus.runner.doctor import examine

    examination = examine(source, task, settings=settings or (), include=include_path or ())
    json_out(examination.to_dict()) if as_json else rich_print(render(examination))


planning.register(app)
listing.register(app)


def main() -> None:
    """Entry point: turns a user's mistake into a message and an exit code."""
    try:
        code = app(args=opt.with_values(sys.argv[1:]), standalone_mode=False)
        if code == 130:  # typer makes an exit code of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except UserError as error:
        fail(str(error), 2)
    except typer.Abort:
        fail("Stopped.", 130)
    except KeyboardInterrupt:
        fail("Stopped. What was answered is stored; the same command goes on.", 130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")) and hasattr(error, "format_message"):
            fail(f"{error.format_message()}\n  do:     saltus --help", 2)
        raise


def _run_study(
    document: Path, *, out: Path | None, as_json: bool, strict: bool, executor: Executor | None, part: str | None = None
) -> None:
    from saltus.analysis.analyze import analyze_study, refuse_other, write
    from saltus.cli.bars import one_of_each
    from saltus.runner.journal import Journal
    from saltus.runner.open import open_store, store_path

    done = _asked(document, executor, show=not as_json) if executor is not None else None
    if part is not None and done is not None:
        stated = f"This part is done: {done.asked:,} answers. When all are: saltus analyze {document}"
        say(stated) if not as_json else json_out({"asked": done.asked, "failures": done.failures})
        raise typer.Exit(3 if done.failures else 0)
    try:
        analysed = analyze_study(document)
    except UserError as error:
        if done is None or done.asked or done.known or not done.failures:
            raise
        more = f" ({len(done.failures) - 1} more)" if len(done.failures) > 1 else ""
        raise UserError(f"nothing could be asked: {done.failures[0]}{more}", where=str(document)) from error
    if done is not None:
        store = open_store(document)
        Journal(store, done.study_id).guards(analysed.findings)
        first = sum(run.study_id == done.study_id for run in store.contents().studies) == 1
        one_of_each(analysed.context.asked, show=first and not as_json)
    if out is not None:
        refuse_other(analysed, out, opt.typed_with_out)
    page = write(analysed, out or store_path(document))
    _show(analysed, page, as_json, done)
    _exit(analysed, strict=strict)


def _asked(document: Path, executor: Executor, *, show: bool) -> RunReport:
    from rich.console import Console

    from saltus.cli.bars import asking_bar
    from saltus.runner.open import run_study

    console = Console(stderr=True, quiet=not show)
    say_so = partial(console.print, style="yellow", markup=False, highlight=False, soft_wrap=True)
    with asking_bar(show) as progress:
        return run_study(document, executor, progress=progress, say=say_so)


def _locate(document: Path, interval: float | None, as_json: bool) -> None:
    from saltus.cli.bars import checkpoints_bar
    from saltus.cli.show_planning import located
    from saltus.planning.locate import locate_study

    with checkpoints_bar(not as_json) as watch:
        found = locate_study(document, interval=interval, watch=watch)
    if not as_json:
        rich_print(*located(found))


def _dry_run(document: Path, as_json: bool) -> None:
    from saltus.cli import show
    from saltus.runner.dry_run import plan
    from saltus.runner.open import open_store
    from saltus.study import document as study

    made = plan(study.load(document), open_store(document))
    if as_json:
        json_out(show.plan_data(made))
    else:
        rich_print(*show.plan(made))


def _show(analysed: Analysed, page: Path, as_json: bool, done: RunReport | None = None) -> None:
    from saltus.cli import show

    if as_json:
        json_out(show.as_data(analysed, page, done))
    else:
        rich_print(*show.analysed(analysed, done))
        say(f"Report: {page}")


def _exit(analysed: Analysed, *, strict: bool) -> NoReturn:
    if strict and any(h.outcome != "kept" for h in analysed.context.hypotheses):
        raise typer.Exit(1)
    raise typer.Exit(3 if analysed.context.failures else 0)
