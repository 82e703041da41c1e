"""The worked examples that ship beside the schema of a finding: real judgements of simulated curves.

`python -m saltus.calibrate.examples` writes schemas/examples/finding-{sharp,artefact,unresolved}.json anew.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from saltus.calibrate.settings import Fixed
from saltus.calibrate.simulate import simulate
from saltus.judging.findings import dump_finding
from saltus.records import Analysis, Finding

FOLDER = Path(__file__).parents[1] / "schemas" / "examples"
EXAMPLES = {
    "sharp": ("leap", Fixed(points=14, seeds=1, items=500, decades=4.0, grid="log", soft=True)),
    "artefact": ("artefact", Fixed(points=14, seeds=1, items=500, decades=4.0, grid="log", soft=True)),
    "unresolved": ("unresolved", Fixed(points=10, seeds=1, items=200, decades=4.0, grid="log")),
}
"""Word → maker and circumstances."""


def example(word: str) -> Finding:
    """The first simulated curve of that word that is also judged so."""
    from saltus.judging.judge import judge

    maker, fixed = EXAMPLES[word]
    rng = np.random.default_rng(17)
    batch, truths = simulate(40, rng, words=(maker,), fixed=fixed)
    keys = (replace(k, series="simulated", task=f"{word}, {k.task}") for k in batch.keys)
    findings = judge(replace(batch, keys=tuple(keys)), Analysis(), rng)
    return next(f for t, f in zip(truths, findings) if t.word == f.verdict == word)


def write_examples(folder: Path = FOLDER) -> list[Path]:
    """Judge and write the three examples, indented for reading."""
    folder.mkdir(exist_ok=True)
    written = []
    for word in EXAMPLES:
        path = folder / f"finding-{word}.json"
        data = json.loads(dump_finding(example(word)))
        path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", "utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    print("\n".join(str(path) for path in write_examples()))
