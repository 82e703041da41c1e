"""Trains one seed of one recipe in a process of its own: `python -m saltus.zoo.worker SPEC FOLDER`.

SPEC is JSON {name, index, options, seed}. Prints `step I N` about every half second; whatever else it prints is an
error. When whoever started it is gone, its next line fails and it ends; the next run goes on from there.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from saltus.zoo.catalogue import courses
from saltus.zoo.training import train

INTERVAL = 0.5


def main(spec_text: str, folder: str) -> None:
    spec = json.loads(spec_text)
    course = courses(spec["name"], spec["options"])[spec["index"]]
    reported = 0.0

    def tell(step: int, steps: int) -> None:
        nonlocal reported
        if step == steps or time.monotonic() - reported > INTERVAL:
            reported = time.monotonic()
            sys.stdout.write(f"step {step} {steps}\n")
            sys.stdout.flush()

    train(course, spec["seed"], Path(folder), tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
