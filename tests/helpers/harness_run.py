"""Asks checkpoints with lm-eval's command line, in one process: STEPS, joined by commas."""

import sys

from lm_eval.__main__ import cli_evaluate

for step in sys.argv[1].split(","):
    sys.argv = [
        "lm_eval",
        "--model",
        "hf",
        "--model_args",
        f"pretrained=./out/checkpoint-{step}",
        "--tasks",
        "myfacts",
        "--include_path",
        ".",
        "--output_path",
        "res",
        "--log_samples",
        "--device",
        "cpu",
        "--batch_size",
        "16",
    ]
    try:
        cli_evaluate()
    except SystemExit as end:
        if end.code:
            raise
