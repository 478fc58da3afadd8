"""How an exported picture looks: colours of kinds, states and edges, patterns, symbols. Data only."""

from __future__ import annotations

from dataclasses import dataclass

KIND_COLOURS: dict[str, str] = {
    "blue": "#2563eb",
    "green": "#15803d",
    "orange": "#ea580c",
    "purple": "#7c3aed",
    "yellow": "#ca8a04",
    "slate": "#475569",
    "teal": "#0f766e",
    "gray": "#6b7280",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLook:
    """fill and line of a node's card; pattern is the id of a pattern laid over the fill."""

    fill: str
    line: str
    text: str
    pattern: str = ""
    classes: str = ""


# VIS-11; WAITING, QUEUED and CANCELLED as C-45 chooses.
STATE_LOOKS: dict[str, StateLook] = {
    "PENDING": StateLook(fill="#ffffff", line="#9ca3af", text="#6b7280"),
    "WAITING": StateLook(fill="#f9fafb", line="#9ca3af", text="#6b7280", classes="dashed"),
    "QUEUED": StateLook(fill="#ecfeff", line="#0891b2", text="#0e7490"),
    "RUNNING": StateLook(fill="#eff6ff", line="#2563eb", text="#1d4ed8", pattern="stripes", classes="pulse"),
    "SUCCESS": StateLook(fill="#dcfce7", line="#16a34a", text="#15803d"),
    "FAILED": StateLook(fill="#fef2f2", line="#dc2626", text="#b91c1c", pattern="hatch"),
    "RETRYING": StateLook(fill="#fff7ed", line="#ea580c", text="#c2410c", pattern="dots"),
    "SKIPPED": StateLook(fill="#f3f4f6", line="#9ca3af", text="#6b7280", classes="faded"),
    "CANCELLED": StateLook(fill="#fdf4ff", line="#c026d3", text="#a21caf", classes="struck"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLook:
    """Line of an edge and the arrow head at its end (VIS-10)."""

    colour: str
    dashes: str
    head: str


EDGE_LOOKS: dict[str, EdgeLook] = {
    "data": EdgeLook(colour="#1f2937", dashes="", head='<path d="M0 0L9 4.5L0 9z" fill="#1f2937"/>'),
    "control": EdgeLook(
        colour="#6b7280",
        dashes="6 4",
        head='<path d="M.7 .9L8 4.5L.7 8.1z" fill="#ffffff" stroke="#6b7280"/>',
    ),
    "conditional": EdgeLook(
        colour="#2563eb", dashes="1.5 4", head='<path d="M0 4.5L4.5 1L9 4.5L4.5 8z" fill="#2563eb"/>'
    ),
    "external": EdgeLook(colour="#dc2626", dashes="8 3 2 3", head='<path d="M1.5 1.5h6v6h-6z" fill="#dc2626"/>'),
}

# White on the badge, around the origin, within 8 units.
SYMBOLS: dict[str, str] = {
    "extract": '<path d="M-5-4.5v9c0 1.4 2.2 2.5 5 2.5s5-1.1 5-2.5v-9"/><ellipse cy="-4.5" rx="5" ry="2.3"/>'
    '<path d="M-5 0c0 1.4 2.2 2.5 5 2.5s5-1.1 5-2.5"/>',
    "transform": '<circle r="3.4"/><path d="M0-3.4v-2.6M0 3.4v2.6M-3.4 0h-2.6M3.4 0h2.6'
    'M2.4-2.4l1.8-1.8M-2.4-2.4l-1.8-1.8M2.4 2.4l1.8 1.8M-2.4 2.4l-1.8 1.8"/>',
    "load": '<circle r="6.2"/><circle r="2.6"/><path d="M0-8v3M0 8v-3M-8 0h3M8 0h-3"/>',
    "validation": '<path d="M-5 .5l3.4 3.8l6.6-8"/>',
    "notification": '<path d="M-5.5 3.5h11c-1.7-1.7-1.7-3.2-1.7-5.3a3.8 3.8 0 0 0-7.6 0c0 2.1 0 3.6-1.7 5.3z'
    'M-1.6 6a1.8 1.8 0 0 0 3.2 0"/>',
    "sensor": '<circle r="6"/><path d="M0-3.6v3.8l2.6 1.6"/>',
    "branch": '<path d="M-6 0h4l5-4.5M-2 0l5 4.5M1 -5h2.8v2.8M1 5h2.8v-2.8"/>',
    "pipeline": '<path d="M-6-4h12M-6 0h12M-6 4h12"/>',
    "shell": '<path d="M-5-4l4 4l-4 4M1 4.5h5"/>',
    "python": '<path d="M-2-6l6.5 12M.9-.8l-5.4 6.8"/>',
    "group": '<path d="M-5-5h10v10h-10zM0-5v10"/>',
    "task": '<circle r="4.5"/>',
}

BADGES: dict[str, str] = {
    "rectangle": '<rect x="-12" y="-12" width="24" height="24" rx="3"/>',
    "diamond": '<path d="M0-16L16 0L0 16L-16 0z"/>',
    "hexagon": '<path d="M-7.5-13h15L15 0L7.5 13h-15L-15 0z"/>',
    "circle": '<circle r="13.5"/>',
}

DEFS = (
    '<pattern id="stripes" width="10" height="10" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="4" height="10" fill="#2563eb" opacity=".14"/></pattern>'
    '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse">'
    '<path d="M0 0L7 7M7 0L0 7" stroke="#dc2626" stroke-width=".8" opacity=".28"/></pattern>'
    '<pattern id="dots" width="7" height="7" patternUnits="userSpaceOnUse">'
    '<circle cx="3" cy="3" r="1.2" fill="#ea580c" opacity=".35"/></pattern>'
)

CSS = (
    "text{font-family:system-ui,'Segoe UI','DejaVu Sans',sans-serif}"
    ".name{font-size:13px;font-weight:600;fill:#111827}"
    ".note{font-size:11px}"
    ".head{font-size:16px;font-weight:600;fill:#111827}"
    ".edge{fill:none;stroke-width:1.4}"
    ".symbol{fill:none;stroke:#fff;stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}"
    ".dashed .card{stroke-dasharray:4 3}"
    ".faded{opacity:.55}"
    ".struck .name{text-decoration:line-through}"
    "@media (prefers-reduced-motion:no-preference){.pulse .pattern{animation:pulse 1.6s ease-in-out infinite}"
    "@keyframes pulse{50%{opacity:.25}}}"
)
