"""The zoo's tokenizers, and the text formats its series are trained on. Tasks render text; these turn it into ids.

copying (`words`)
    Tokens are the words `t0` … `t63`, separated by single spaces; no BOS, no EOS, no pad: the network's vocabulary
    is exactly 64. A training text is a random sequence of period P (8–24) repeated to 48 tokens. Prompt: the first
    k tokens of such a sequence (k > P), e.g. `t3 t17 t5 t3 t17`; target: the next one, `t5`, asked as ` t5`.

addition (`characters`)
    Every character is a token: `0`–`9`, `+`, `=`, then `<eos>` (end and pad) and `<unk>`. Operands are padded with
    zeros to n digits; the answer has n + 1 digits, padded too, the LEAST significant first (reversed), so that
    carries flow in reading order: for n = 3, prompt `123+456=`, target `9750` (579 = 0579, reversed). No spaces.

modular addition (`residues`)
    Every number 0 … p−1 is one word, besides `+`, `=` and `<unk>`: prompt `12 + 40 =`, target `52`, asked as ` 52`.

All split on white space or on characters before any look-up, so prompt + continuation always encodes to the ids
of the prompt followed by those of the continuation. The `<unk>` of `words` is id 64, which the network does not
have: a prompt with an unknown word cannot be asked and is stored as a failure that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

EOS, UNK = "<eos>", "<unk>"
CHARACTERS = (*"0123456789+=", EOS, UNK)
"""The vocabulary of addition, in the order of ids."""


def word_names(n: int = 64) -> tuple[str, ...]:
    """The copying vocabulary `t0` … , in the order of ids."""
    return tuple(f"t{i}" for i in range(n))


def residue_names(p: int) -> tuple[str, ...]:
    """The vocabulary of addition modulo p, in the order of ids: a number's id is the number."""
    return (*map(str, range(p)), "+", "=", UNK)


def words(n: int = 64) -> PreTrainedTokenizerFast:
    """One token per word `t0` … `t{n-1}`."""
    return _tokenizer((*word_names(n), UNK), by_character=False)


def characters() -> PreTrainedTokenizerFast:
    """One token per character of `123+456=9750`."""
    return _tokenizer(CHARACTERS, by_character=True)


def residues(p: int) -> PreTrainedTokenizerFast:
    """One token per number and sign of `12 + 40 = 52`."""
    return _tokenizer(residue_names(p), by_character=False)


def _tokenizer(names: tuple[str, ...], *, by_character: bool) -> PreTrainedTokenizerFast:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    if by_character:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
        tokenizer.decoder = decoders.Fuse()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": UNK}
    if EOS in vocabulary:
        special |= {"eos_token": EOS, "pad_token": EOS}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **special)
