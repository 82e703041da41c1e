"""Writes a tiny checkpoint as a GGUF file, the way llama.cpp's converter does, in F32 or quantised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_WHOLE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def write_gguf(folder: Path, to: Path, kind: str = "F32", *, add_bos: bool = True) -> Path:
    """folder: a Llama of `tiny`, whose rows are multiples of 32. kind: a type of gguf that numpy can quantise to."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    writer = GGUFWriter(str(to), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    _words(writer, folder, add_bos)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    wanted = GGMLQuantizationType[kind]
    for name, weight in load_file(folder / "model.safetensors").items():
        given = _named(name)
        part = given.split(".")[-2]
        if part in heads:
            weight = _interleaved(weight, heads[part])
        plain = weight.ndim == 1 or kind == "F32"
        raw = weight if plain else quants.quantize(weight, wanted)
        writer.add_tensor(given, raw, raw_dtype=None if plain else wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return to


def _named(name: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_LAYER[rest.removesuffix('.weight')]}.weight"


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rotary halves side by side become pairs, as llama.cpp wants them."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def _words(writer: Any, folder: Path, add_bos: bool) -> None:
    words = json.loads((folder / "tokenizer.json").read_text())
    special = {w["content"]: w["id"] for w in words["added_tokens"]}
    tokens = sorted(words["model"]["vocab"], key=words["model"]["vocab"].__getitem__)
    merges = [m if isinstance(m, str) else " ".join(m) for m in words["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(special["<bos>"])
    writer.add_eos_token_id(special["<eos>"])
    writer.add_add_bos_token(add_bos)
