"""Right answers that scripted models look up by name."""

from __future__ import annotations

import json
import re


def adds(prompt: str) -> str | None:
    """The oracle of a scripted model that can use the tool in words."""
    if "results are:" in prompt:
        return prompt.rsplit("results are:", 1)[1].split()[0]
    asked = re.search(r"What is (\d+) \+ 1", prompt)
    assert "<tools>" in prompt
    assert asked
    call = {"name": "adder", "arguments": {"x": int(asked[1]), "y": 1}}
    return f"I shall add. <tool_call>{json.dumps(call)}</tool_call>"
