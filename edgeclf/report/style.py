"""How the page looks: on screens wide and narrow, light and dark, and on paper."""

from __future__ import annotations

# Blue and orange are told apart with every kind of colour vision; what they say is
# also said in words or by place. Source: M. Okabe and K. Ito, "Color Universal
# Design", 2008.
# All text stands out from its ground by 4.5 to 1 or more. Source: WCAG 2.2, 1.4.3.
_FRAME = """
:root {
  color-scheme: light dark;
  --ground: #f4f5f7; --paper: #fff; --ink: #22262e; --soft: #59616d;
  --edge: #e1e4e9; --track: #e4e7ec; --blue: #0072b2; --orange: #d55e00;
  --link: #005f96; --hit: #0072b2; --miss: #d55e00; --band: #0072b233;
  --shadow: 0 1px 2px #22262e0d, 0 4px 16px #22262e0a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1216; --paper: #181c22; --ink: #e7eaef; --soft: #a3abb7;
    --edge: #2b313a; --track: #2d343e; --blue: #4ba3dd; --orange: #ee8b3a;
    --link: #7cc0ee; --hit: #0078bd; --miss: #c25a0c; --band: #4ba3dd40;
    --shadow: none;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere; font-variant-numeric: tabular-nums;
}
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
.skip { position: absolute; left: -99em; }
.skip:focus { left: 1em; top: 1em; padding: .5em 1em; background: var(--paper);
  z-index: 2; }
header, .columns, .column-only, footer { max-width: 1180px; margin: 0 auto;
  padding: 0 24px; }
header { padding-top: 48px; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 8px; }
h2 { font-size: 1.3rem; line-height: 1.3; letter-spacing: -.01em; margin: 0 0 12px; }
h3 { font-size: 1rem; margin: 32px 0 8px; }
p { margin: 0 0 12px; max-width: 68ch; }
code, pre { font: .87em/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 0; padding: 14px 16px; background: var(--ground); border-radius: 8px;
  width: max-content; min-width: 100%; }
.soft, .about { color: var(--soft); }
.soft { font-size: .9rem; }
.lead { font-size: 1.08rem; font-weight: 500; }
.figure { white-space: nowrap; }
.about { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 0; margin: 0 0 28px;
  padding: 0; font-size: .95rem; }
.about li:not(:last-child)::after { content: "\\b7"; margin: 0 10px; }

.columns { display: grid; grid-template-columns: 190px minmax(0, 1fr); gap: 32px; }
nav { font-size: .9rem; }
nav ul { list-style: none; margin: 0; padding: 8px 0; position: sticky; top: 16px; }
nav a { display: block; padding: 5px 12px; border-left: 2px solid var(--edge);
  color: var(--soft); text-decoration: none; }
nav a:hover { color: var(--ink); border-color: var(--blue); }
main:focus { outline: none; }
section { background: var(--paper); border-radius: 14px; padding: 26px 28px;
  box-shadow: var(--shadow); border: 1px solid var(--edge); margin-bottom: 20px;
  scroll-margin-top: 12px; }
section > :last-child { margin-bottom: 0; }
footer { padding: 12px 24px 48px; color: var(--soft); font-size: .9rem; }
"""

# What the figures take beside colours and letters; the web app shows them too.
FIGURES = """
.headline { display: grid; gap: 16px; margin-bottom: 32px;
  grid-template-columns: minmax(0, 5fr) minmax(0, 7fr); }
.hero, .tile { background: var(--paper); border-radius: 14px;
  box-shadow: var(--shadow); border: 1px solid var(--edge); }
.hero { padding: 24px 28px; display: flex; flex-direction: column;
  justify-content: center; }
.big { font-size: 4.4rem; font-weight: 700; line-height: 1; letter-spacing: -.04em;
  margin: 0 0 14px; color: var(--link); }
.hero p:last-child { margin: 0; }
.range { width: 100%; height: 14px; margin: 6px 0 10px; display: block; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; }
.tiles.alone { margin-bottom: 32px; }
.tile { padding: 16px 18px; flex: 1 1 165px; }
.tile p { margin: 0; }
.tile .name, .tile .note { color: var(--soft); font-size: .84rem; line-height: 1.4; }
.tile .value { font-size: 1.5rem; font-weight: 650; letter-spacing: -.02em; }

.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
.scroll { position: relative; }
th, td { padding: 8px 14px; text-align: start; vertical-align: middle;
  border-bottom: 1px solid var(--edge); min-width: 8em; }
thead th { overflow-wrap: normal; }
th.number, td.number { text-align: end; min-width: 5.5em; }
td.number { white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
tbody th { font-weight: 500; max-width: 22em; }
.dense { font-size: .84rem; line-height: 1.4; }
.dense th, .dense td { padding: 8px 6px; min-width: 0; }
.dense tr > :first-child { padding-left: 0; min-width: 9em; }
.dense tr > :last-child { padding-right: 0; }
.dense p { margin: 0; }
.dense thead th { font-size: .78rem; }
tbody tr:last-child > * { border-bottom: 0; }
tbody tr:hover { background: color-mix(in srgb, var(--track) 35%, transparent); }
thead th { color: var(--soft); font-size: .84rem; font-weight: 600; line-height: 1.3;
  vertical-align: bottom; }
thead button { font: inherit; color: inherit; background: none; border: 0; padding: 0;
  margin: 0; cursor: pointer; text-align: inherit; }
thead button:hover { color: var(--ink); }
thead th { position: relative; }
thead button::after { position: absolute; margin-left: .2em; }
th[aria-sort=ascending] button::after { content: "\\2191"; }
th[aria-sort=descending] button::after { content: "\\2193"; }
.meter { display: block; width: 100%; min-width: 72px; height: 5px; margin-top: 4px;
  border-radius: 3px; }

svg text { fill: var(--ink); font-family: inherit; }
.chart { display: block; width: 100%; height: auto; font-size: 11.5px;
  overflow: visible; }
.chart text { fill: var(--soft); }
.chart .axis, .chart .note { fill: var(--ink); }
.grid { stroke: var(--edge); fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.one { stroke: var(--blue); }
.line.two { stroke: var(--orange); stroke-dasharray: 5 4; }
.line.ideal { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 3 4; }
.band { fill: var(--band); }
.whisker { stroke: var(--soft); stroke-width: 1.2; }
.dot { stroke: var(--paper); stroke-width: 1.2; }
.dot.one, .column, .column.one { fill: var(--blue); }
.dot.best { stroke: var(--orange); stroke-width: 3; }
.chart .number { fill: var(--paper); font-size: 9.5px; font-weight: 700;
  pointer-events: none; }
.dot.two, .column.two { fill: var(--orange); }
.chart .column { fill: var(--band); }
.drawing { max-width: 540px; }
.track { fill: var(--track); }
.beside { display: grid; gap: 8px 36px; align-items: start;
  grid-template-columns: minmax(0, 11fr) minmax(0, 9fr); }
.pair-of-charts { display: grid; gap: 24px 36px; grid-template-columns: 1fr 1fr; }
.small-charts { list-style: none; margin: 0; padding: 0; display: grid;
  gap: 14px 18px; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); }
.small-charts li { min-width: 0; }
.small-charts p { margin: 2px 0 0; font-size: .84rem; line-height: 1.35; }
.frame { fill: none; stroke: var(--edge); }
.matrix { display: block; margin: 4px auto 4px 0; }
.matrix .sheet { fill: none; stroke: var(--edge); }
.matrix .hit { fill: var(--hit); }
.matrix .miss { fill: var(--miss); }
.matrix .own { fill: var(--track); }
.matrix .count { font-size: 15px; font-weight: 600; }
.matrix .share { font-size: 11px; }
.matrix .axis { fill: var(--soft); font-size: 11px; }

.files, .limits { margin: 0 0 12px; padding-left: 1.2em; }
.files { font-size: .9rem; color: var(--soft); }
.limits li { max-width: 76ch; margin-bottom: 8px; }
.facts { display: grid; gap: 14px 32px; margin: 0 0 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 210px), 1fr)); }
.facts dt { color: var(--soft); font-size: .84rem; }
.facts dd { margin: 0; font-weight: 500; }
.facts code { font-size: .75rem; font-weight: 400; }
details, .scroll + p { margin-top: 12px; }
summary { cursor: pointer; color: var(--link); font-size: .93rem; }
details > .scroll { margin-top: 8px; }

@media (max-width: 1000px) { .headline { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 720px) {
  .hero { padding: 20px; }
  .beside, .pair-of-charts { grid-template-columns: minmax(0, 1fr); }
  .tiles { gap: 10px; }
  .tile { padding: 12px 14px; flex-basis: 140px; }
  th, td { padding: 8px 10px; }
}
"""

_CARDS = """
.cards { list-style: none; margin: 16px 0 0; padding: 0; display: grid; gap: 20px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); }
.card { min-width: 0; }
.card p { margin: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; margin-bottom: 10px; }
.pair img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover;
  background: var(--track); border-radius: 6px; }
.verdict { line-height: 1.4; }
.verdict .label { font-weight: 600; }
.score { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 10px;
  font-size: .9rem; }
.score .meter { flex: 1 1 72px; width: auto; margin: 0; }
.score .soft { flex-basis: 100%; }
"""

_SIZES = """
@media (max-width: 1000px) {
  .columns { grid-template-columns: minmax(0, 1fr); gap: 0; }
  nav { position: sticky; top: 0; z-index: 1; margin: 0 -24px 16px;
    background: var(--ground); border-bottom: 1px solid var(--edge); }
  nav ul { display: flex; overflow-x: auto; padding: 0 12px; position: static;
    scrollbar-width: none; }
  nav a { border: 0; white-space: nowrap; padding: 12px; }
  section { scroll-margin-top: 60px; }
}
@media (max-width: 720px) {
  header, .columns, .column-only, footer { padding-left: 16px; padding-right: 16px; }
  header { padding-top: 28px; }
  nav { margin: 0 -16px 16px; }
  nav ul { padding: 0 4px; }
  section { padding: 20px 16px; border-radius: 12px; }
  h1 { font-size: 1.6rem; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print {
  :root { color-scheme: light; --ground: #fff; --paper: #fff; --ink: #22262e;
    --soft: #59616d; --edge: #d5d9df; --track: #e4e7ec; --blue: #0072b2;
    --orange: #d55e00; --link: #005f96; --hit: #0072b2; --miss: #d55e00;
    --band: #0072b233; --shadow: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10.5pt; }
  nav, .skip { display: none; }
  .columns { display: block; }
  header, .columns, .column-only, footer { max-width: none; padding: 0; }
  section { border: 0; padding: 12px 0; }
  .card, .tile, .hero, tr, .drawing, figure { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
  .matrix { max-width: 100%; height: auto; }
  .beside, .pair-of-charts { grid-template-columns: 1fr 1fr; }
  .cards { grid-template-columns: repeat(3, 1fr); }
  details::details-content { content-visibility: visible; display: block; }
}
"""

STYLE = _FRAME + FIGURES + _CARDS + _SIZES
