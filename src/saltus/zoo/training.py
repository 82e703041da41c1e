"""The one loop that trains every series of the zoo: a schedule of checkpoints, determinism, resuming.

The batch of step t depends on (seed, t) alone, so no generator state has to survive a kill: weights and optimiser
state do, in `resume.pt`, written after every checkpoint. A run killed anywhere goes on from its last checkpoint
and ends with the same bytes. A checkpoint is written to a temporary folder and renamed, so that what bears the
name `step-…` is whole. One thread throughout, because sums in another order are other numbers.

Known limit: the same seed gives the same weights on the same machine with the same torch; another processor
or release may round differently, and a training near its leap amplifies that.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from saltus._version import __version__
from saltus.hashing import content_hash, seed_from

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

FORMAT = 1
"""Changes when this loop would give other weights or other files for the same recipe."""
CARD = "checkpoint.json"
"""Written into every checkpoint: step, tokens, params, loss and how it was trained."""
RESUME = "resume.pt"

Progress = Callable[[int, int], None]
"""Called with (step, steps) after every step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast to train, and where checkpoints lie."""

    steps: int
    points: int
    """Checkpoints after step 0, at steps growing as i^1.5: dense early, yet many around a late leap."""
    rate: float
    batch: int
    """Sequences per step."""
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup: int = 50
    clip: float | None = 1.0
    decay: Literal["none", "linear"] = "none"

    def checkpoints(self) -> tuple[int, ...]:
        """The steps after which to save, 0 and `steps` among them; at most points + 1, ascending."""
        return tuple(sorted({round(self.steps * (i / self.points) ** 1.5) for i in range(self.points + 1)}))

    def rate_at(self, step: int) -> float:
        """Learning rate of the update that ends step `step + 1`."""
        rate = self.rate * min(1.0, (step + 1) / max(self.warmup, 1))
        return rate * (1 - step / self.steps) if self.decay == "linear" else rate


class Course(Protocol):
    """What one series is taught: a frozen dataclass whose fields are the recipe. Nothing else may change weights."""

    @property
    def name(self) -> str: ...

    @property
    def schedule(self) -> Schedule: ...

    @property
    def tokens_per_step(self) -> int: ...

    def network(self) -> PreTrainedModel:
        """Fresh and untrained, drawn from torch's generator, which the loop seeds."""
        ...

    def tokenizer(self) -> PreTrainedTokenizerFast: ...

    def loss(self, network: PreTrainedModel, seed: int, step: int) -> torch.Tensor:
        """Mean nats per predicted token on the batch of (seed, step)."""
        ...

    def evaluate(self, network: PreTrainedModel, seed: int) -> Mapping[str, float]:
        """`loss` (nats per predicted token on a fixed batch from the training distribution) and whatever else is
        worth keeping; the same batch at every checkpoint.
        """
        ...


def recipe(course: Course) -> dict[str, Any]:
    """Everything that decides the weights but the seed, as plain data."""
    fields: dict[str, Any] = asdict(course)  # type: ignore[call-overload]
    return {"name": course.name, "course": type(course).__name__, "format": FORMAT, **fields}


def recipe_hash(course: Course) -> str:
    """12 hex digits that change with the recipe."""
    return content_hash(recipe(course)).removeprefix("sha256:")[:12]


def checkpoint_name(step: int) -> str:
    return f"step-{step}"


def is_complete(course: Course, folder: Path) -> bool:
    """Every checkpoint is there and no training is under way."""
    steps = course.schedule.checkpoints()
    return all((folder / checkpoint_name(s) / CARD).is_file() for s in steps) and not ((folder / RESUME).exists())


def train(course: Course, seed: int, folder: Path, progress: Progress | None = None) -> None:
    """Trains what is missing in folder; returns at once when nothing is. Raises OSError when it cannot write."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock"):
        if not is_complete(course, folder):
            with _one_thread():
                _train(course, seed, folder, progress or (lambda step, steps: None))


def _train(course: Course, seed: int, folder: Path, progress: Progress) -> None:
    import torch

    schedule = course.schedule
    for scrap in folder.glob("tmp-*"):  # of a run that was killed; the lock is ours
        shutil.rmtree(scrap) if scrap.is_dir() else scrap.unlink()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("zoo weights", seed))
        network = course.network()
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=schedule.rate, betas=schedule.betas, weight_decay=schedule.weight_decay)
    start = _resume(folder / RESUME, network, optimizer)
    due = set(schedule.checkpoints())
    last_loss: float | None = None
    for step in range(start, schedule.steps + 1):
        if step in due and (step > start or start == 0):
            _save(course, seed, folder, network, step, last_loss)
            _write_resume(folder / RESUME, network, optimizer, step)
        progress(step, schedule.steps)
        if step == schedule.steps:
            break
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step)
        optimizer.zero_grad()
        loss = course.loss(network, seed, step)
        loss.backward()  # type: ignore[no-untyped-call]
        if schedule.clip is not None:
            torch.nn.utils.clip_grad_norm_(trained, schedule.clip)
        optimizer.step()
        last_loss = loss.item()
        if not math.isfinite(last_loss):
            raise FloatingPointError(f"{course.name}, seed {seed}: the loss is {last_loss} at {step}")
    (folder / RESUME).unlink()


def _save(
    course: Course, seed: int, folder: Path, network: PreTrainedModel, step: int, last_loss: float | None
) -> None:
    """One checkpoint as an ordinary transformers folder with its card: whole or not there."""
    target = folder / checkpoint_name(step)
    if target.exists():  # saved before the kill; its resume state was not
        return
    temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=folder))
    with _quiet():
        network.save_pretrained(temporary)
        course.tokenizer().save_pretrained(temporary)
    card = _card(course, seed, network, step, last_loss)
    (temporary / CARD).write_text(json.dumps(card, indent=1) + "\n")
    temporary.chmod(0o755)  # mkdtemp's 0700 would hide a shared cache from its other readers
    temporary.rename(target)


def _card(course: Course, seed: int, network: PreTrainedModel, step: int, last_loss: float | None) -> dict[str, Any]:
    import torch
    import transformers

    params = sum(p.numel() for p in network.parameters() if p.requires_grad)
    tokens = step * course.tokens_per_step
    network.eval()
    with torch.no_grad():
        evaluated = dict(course.evaluate(network, seed))
    network.train()
    return {
        "series": course.name,
        "seed": seed,
        "step": step,
        "tokens": tokens,
        "params": params,
        "flops": 6 * params * tokens,
        **evaluated,
        "batch_loss": last_loss,
        "recipe": recipe(course),
        "versions": {"saltus": __version__, "torch": str(torch.__version__), "transformers": transformers.__version__},
    }


def _write_resume(path: Path, network: Any, optimizer: Any, step: int) -> None:
    import torch

    temporary = path.with_name(f"tmp-{path.name}")
    torch.save({"step": step, "network": network.state_dict(), "optimizer": optimizer.state_dict()}, temporary)
    os.replace(temporary, path)


def _resume(path: Path, network: Any, optimizer: Any) -> int:
    """The step to go on from; 0 where there is nothing to resume or it cannot be read."""
    import torch

    if not path.exists():
        return 0
    try:
        state = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError):
        return 0
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar per checkpoint."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two processes that want one series: the second waits and then finds it trained. The kill of a holder frees it."""
    with open(path, "w") as file:
        try:
            import fcntl
        except ImportError:  # Windows: no lock; both would train the same bytes
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
