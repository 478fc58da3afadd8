"""The graph as one HTML page: the SVG picture inside, and what is known of a task beside it (VIS-13).

Law: the page is whole in itself. It asks nothing of any server, its policy forbids it to, and it says as much
without its script: the same details stand in a table below the picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape

from engine.layout.cells import clean
from engine.layout.collapse import collapse
from engine.layout.glyphs import UNICODE
from engine.layout.overlay import overlay_of
from engine.layout.svg import to_svg
from engine.layout.values import Graph, States

Details = Mapping[str, Mapping[str, str]]  # node id -> what is shown of it, in order

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light}body{margin:0;font:14px/1.45 system-ui,'Segoe UI','DejaVu Sans',sans-serif;color:#111827}
header{padding:12px 20px;border-bottom:1px solid #e5e7eb}h1{font-size:18px;margin:0}
header p{margin:2px 0 0;color:#6b7280}
main{display:flex;flex-wrap:wrap;align-items:flex-start}#picture{flex:1 1 60%;overflow:auto;padding:8px}
#card{flex:0 0 320px;margin:16px;padding:12px 16px;border:1px solid #d1d5db;border-radius:8px}
#card{position:sticky;top:8px}
#card h2{font-size:15px;margin:0 0 6px}dl{margin:0;display:grid;grid-template-columns:auto 1fr;gap:2px 12px}
dt{color:#6b7280}dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.node{cursor:pointer}.node:focus .card,.node.on .card{stroke-width:3}.node:focus{outline:none}
details{margin:8px 20px 24px}table{border-collapse:collapse;margin-top:8px}
th,td{text-align:left;vertical-align:top;padding:3px 12px 3px 0;border-bottom:1px solid #e5e7eb}
@media print{#card{display:none}}
"""
_SCRIPT = """
const known = JSON.parse(document.getElementById("details").textContent);
const card = document.getElementById("card");
let pinned = null;
function show(node) {
  const id = node.getAttribute("data-node"), list = document.createElement("dl");
  const head = document.createElement("h2"); head.textContent = id;
  for (const [name, value] of Object.entries(known[id] || {})) {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value; list.append(dt, dd);
  }
  card.replaceChildren(head, list);
  for (const each of document.querySelectorAll(".node.on")) each.classList.remove("on");
  node.classList.add("on");
}
for (const node of document.querySelectorAll("[data-node]")) {
  node.setAttribute("tabindex", "0");
  node.addEventListener("mouseenter", () => { if (!pinned) show(node); });
  node.addEventListener("focus", () => show(node));
  node.addEventListener("click", () => { pinned = pinned === node ? null : node; show(node); });
}
"""


def to_html(
    graph: Graph,
    states: States | None = None,
    *,
    title: str = "",
    subtitle: str = "",
    details: Details | None = None,
) -> str:
    """The page. Raises GraphError where the graph has a cycle."""
    picture = to_svg(graph, states)
    told = {node.id: _told(node.id, states, details or {}) for node in graph.nodes}
    names = dict.fromkeys(name for each in told.values() for name in each)
    rows = "".join(_row(node, [each.get(name, "") for name in names]) for node, each in told.items())
    heads = "".join(f"<th>{_safe(name)}</th>" for name in names)
    bundles = {
        node.id: {"stands for": ", ".join(node.members)} for node in collapse(graph).graph.nodes if node.members
    }
    data = json.dumps(told | bundles, ensure_ascii=True).replace("<", "\\u003c")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_safe(title or 'pipeline')}</title><style>{_STYLE}</style></head><body>",
            f"<header><h1>{_safe(title or 'pipeline')}</h1><p>{_safe(subtitle)}</p></header>",
            f'<main><div id="picture">{picture}</div>',
            '<aside id="card" aria-live="polite"><p>Point at a task, or move to it with Tab.</p></aside></main>',
            f"<details><summary>All tasks</summary><table><tr><th>task</th>{heads}</tr>{rows}</table></details>",
            f'<script type="application/json" id="details">{data}</script>',
            f"<script>{_SCRIPT}</script></body></html>",
        ]
    )


def _told(node: str, states: States | None, details: Details) -> dict[str, str]:
    found: dict[str, str] = {}
    if states is not None:
        over = overlay_of(states.get(node, "PENDING"), UNICODE)
        found["state"] = f"{over.state} {over.suffix}".rstrip()
    for name, value in details.get(node, {}).items():
        found[name] = "\n".join(clean(line, UNICODE) for line in value.split("\n"))
    return found


def _row(node: str, values: list[str]) -> str:
    return f"<tr><th>{_safe(node)}</th>{''.join(f'<td>{_safe(value)}</td>' for value in values)}</tr>"


def _safe(text: str) -> str:
    return escape(clean(text, UNICODE), quote=True)
