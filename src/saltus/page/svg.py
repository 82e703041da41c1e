"""From a Vega spec to a small static SVG that follows the page's light or dark colours.

vl-convert draws the spec here, without a network. What it draws is made for any viewer: every point its own
element with its own style. A page with dozens of charts wants the same picture in a tenth of the bytes, so
lines of one style become one path, round points become the dots of one path, coordinates keep one decimal, and
the chart's fixed colours become CSS variables. Known limit: only what our charts draw (lines, rules,
rectangles, areas, circles, text) is made small; the rest is kept as it is.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from saltus.page.charts import COLOURS

_NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")
_MOVE = re.compile(r"translate\(([^,)]+),([^)]+)\)")
_DOT = re.compile(r"M([\d.]+),0A")
_DROPPED = {"role", "class", "pointer-events", "font-family", "stroke-miterlimit", "display"}
_VARIABLES = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
_NOTHING = {"opacity": "1", "stroke-dasharray": "1,0", "stroke-width": "1"}


def render(spec: Mapping[str, Any], *, title: str, about: str, key: str) -> str:
    """The Vega-Lite spec as inline SVG with `title` and `about` read out in its place; ids start with `key`.

    Raises ValueError if vl-convert cannot draw the spec.
    """
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(dict(spec), allowed_base_urls=[])
    return shrink(drawn, title=title, about=about, key=key)


def shrink(drawn: str, *, title: str, about: str, key: str) -> str:
    """vl-convert's SVG, small and themed."""
    root = ET.fromstring(drawn)
    body = "".join(_write(child) for child in root)
    box = root.get("viewBox", "0 0 1 1")
    _, _, width, height = box.split()
    return (
        f'<svg class="chart" viewBox="{box}" width="{width}" height="{height}" role="img"'
        f' aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{escape(title)}</title><desc id="{key}-d">{escape(about)}</desc>'
        f"{body}</svg>"
    )


def _tag(element: ET.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _write(element: ET.Element) -> str:
    tag = _tag(element)
    if tag == "defs" or element.get("display") == "none" or element.get("fill") == "transparent":
        return ""
    if tag == "path" and _is_empty(element):
        return ""
    if tag == "rect" and element.get("fill") == "white":
        return ""
    if tag != "g":
        return _leaf(tag, element)
    inner = _children(element)
    if not inner:
        return ""
    attributes = _attributes(element)
    return f"<g{attributes}>{inner}</g>" if attributes else inner


def _is_empty(path: ET.Element) -> bool:
    d = path.get("d", "")
    return d in ("", "M0,0h0v0h0Z") or (path.get("class") == "background" and path.get("stroke") in (None, "none"))


def _children(group: ET.Element) -> str:
    """The children written in order; neighbours that are rules or dots of one style become one path."""
    written: list[str] = []
    style, strokes = "", ""
    for child in group:
        drawn = _stroke(child)
        if drawn is None or drawn[0] != style:
            written.append(_joined(style, strokes))
            style, strokes = drawn[0] if drawn else "", ""
        if drawn is None:
            written.append(_write(child))
        else:
            strokes += drawn[1]
    return "".join([*written, _joined(style, strokes)])


def _joined(style: str, strokes: str) -> str:
    return f'<path{style} d="{strokes}"/>' if strokes else ""


def _stroke(element: ET.Element) -> tuple[str, str] | None:
    """(style, path data) of a rule or a round point; None for everything else."""
    move = _MOVE.fullmatch(element.get("transform", ""))
    if move is None:
        return None
    x, y = (_short(part) for part in move.groups())
    if _tag(element) == "line":
        to = f"l{_short(element.get('x2', '0'))} {_short(element.get('y2', '0'))}"
        return _attributes(element, without=("transform", "x2", "y2")), f"M{x} {y}{to}"
    dot = _DOT.match(element.get("d", ""))
    if _tag(element) == "path" and dot is not None:
        rest = _attributes(element, without=("transform", "d", "fill", "stroke", "stroke-width"))
        colour = _themed(element.get("fill", ""))
        width = _short(str(2 * float(dot.group(1))))
        style = f'{rest} stroke="{colour}" stroke-width="{width}" stroke-linecap="round"'
        return style, f"M{x} {y}h0"
    return None


def _leaf(tag: str, element: ET.Element) -> str:
    text = escape(element.text or "")
    if tag == "text" and not text:
        return ""
    return f"<{tag}{_attributes(element)}>{text}</{tag}>" if text else f"<{tag}{_attributes(element)}/>"


def _attributes(element: ET.Element, without: tuple[str, ...] = ()) -> str:
    found = ""
    for name, value in element.attrib.items():
        if name in _DROPPED or name in without or name.startswith("aria") or "clip" in name:
            continue
        if _NOTHING.get(name) == value or (name == "transform" and value == "translate(0,0)"):
            continue
        if name in ("d", "transform"):
            value = _NUMBER.sub(lambda m: _short(m.group()), value)
        elif name in ("fill", "stroke"):
            value = _themed(value)
        elif name == "font-size":
            value = value.removesuffix("px")
        found += f" {name}={quoteattr(value)}"
    return found


def _themed(colour: str) -> str:
    return _VARIABLES.get(colour, colour)


def _short(number: str) -> str:
    text = f"{float(number):.1f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
