"""The page's style sheet: light and dark, wide and narrow, screen and paper."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --card: #ffffff; --ink: #1c1e21; --soft: #5d636b; --line: #dfe1e4;
  --mark: #2457c5; --mark-rgb: 36 87 197; --band: #b9ccf3; --bad: #b3401a; --bad-rgb: 196 84 30;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #131518; --card: #1b1e23; --ink: #e8eaed; --soft: #a2a9b3; --line: #343941;
    --mark: #86abff; --mark-rgb: 76 126 235; --band: #2c4272; --bad: #ff9b70; --bad-rgb: 205 92 40;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 1.25rem 1rem 3rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere;
}
main { max-width: 62rem; margin: 0 auto; }
h1 { font-size: 1.35rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
h3 { font-size: .95rem; margin: 1rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1rem; margin: 1rem 0 0;
}
.pair {
  display: grid; gap: 1rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
}
.pair > section { margin-top: 0; }
.soft { color: var(--soft); }
.small { font-size: .86rem; }
.big { font-size: 2.6rem; line-height: 1.1; font-weight: 650; letter-spacing: -.02em; }
.big small { font-size: 1.05rem; font-weight: 400; letter-spacing: 0; color: var(--soft); }
.wide { overflow-x: auto; }
table {
  border-collapse: collapse; max-width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums;
}
th, td {
  text-align: left; vertical-align: top; padding: .28rem .8rem .28rem 0; overflow-wrap: normal;
}
tbody tr { border-top: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
th.n, td.n { text-align: right; white-space: nowrap; }
.name { overflow-wrap: anywhere; min-width: 6rem; max-width: 22rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.chart { max-width: 32rem; margin-bottom: .6rem; }
.strip { max-width: 32rem; margin-top: .7rem; }
.axis { stroke: var(--line); } .guide { stroke: var(--soft); stroke-dasharray: 3 3; }
.line { stroke: var(--mark); fill: none; stroke-width: 1.5; }
.other { stroke: var(--bad); fill: none; stroke-width: 1.5; }
polyline.guide { fill: none; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0; margin: 0; }
.legend li { display: flex; align-items: center; gap: .4rem; font-size: .82rem; }
.legend svg { width: 1.6rem; }
.error { stroke: var(--mark); stroke-width: 1.5; } .dot { fill: var(--mark); }
.ring { fill: none; stroke: var(--bad); stroke-width: 2; }
.band { fill: var(--band); } .fill { fill: var(--mark); opacity: .6; } .track { fill: var(--line); }
.whisker { stroke: var(--ink); stroke-width: 1.5; } .tick { stroke: var(--bad); stroke-width: 2; }
svg text.chosen { fill: var(--bad); }
.cell svg { width: 10rem; margin-top: .15rem; }
.cell .small { white-space: nowrap; }
.labels .cell svg { width: 6.2rem; }
.labels .cell .small { display: block; font-size: .76rem; }
.matrix td, .matrix thead th { text-align: center; padding: .3rem; min-width: 2.4rem; }
.matrix { max-width: none; }
.matrix tbody tr { border: 0; }
.matrix tbody th {
  text-align: right; max-width: 9rem; padding-right: .5rem; vertical-align: middle;
  font-weight: 400; color: var(--ink); position: sticky; left: 0; background: var(--card);
}
.matrix td { border: 1px solid var(--card); }
.matrix td.hit { background: rgb(var(--mark-rgb) / var(--share)); }
.matrix td.miss { background: rgb(var(--bad-rgb) / var(--share)); }
.matrix td.deep { color: #fff; }
.matrix td.none { color: var(--soft); }
.matrix .tall span {
  writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9rem; overflow: hidden;
}
.matrix thead th { vertical-align: bottom; font-weight: 400; color: var(--ink); }
.gallery {
  display: grid; gap: .8rem; padding: 0; margin: .6rem 0 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(8.4rem, 1fr));
}
.gallery li { font-size: .8rem; line-height: 1.35; break-inside: avoid; }
.gallery img, .gallery .blank {
  width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 6px; background: var(--line);
  display: block; margin-bottom: .3rem; border: 1px solid var(--line);
}
.gallery .blank { display: grid; place-items: center; color: var(--soft); }
.gallery .id { color: var(--soft); }
.wrong { color: var(--bad); }
pre {
  margin: .3rem 0; padding: .7rem; background: var(--ground); border: 1px solid var(--line);
  border-radius: 6px; overflow-x: auto; font: .82rem/1.5 ui-monospace, Menlo, Consolas, monospace;
  white-space: pre-wrap;
}
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .86em; }
ul.plain { margin: .4rem 0; padding-left: 1.1rem; }
@media (max-width: 30rem) {
  body { padding: .8rem .5rem 2rem; }
  section { padding: .8rem .7rem; border-radius: 8px; }
  th, td { padding-right: .55rem; }
  .big { font-size: 2.2rem; }
  .classes tr { display: grid; grid-template-columns: repeat(3, 1fr); padding: .2rem 0; }
  .classes :is(th, td):first-child { grid-column: 1 / 3; }
  .classes :is(th, td) { padding: .1rem .4rem .1rem 0; }
  .cell svg { width: 100%; }
  .cell .small { font-size: .72rem; display: block; }
}
@media print {
  :root {
    --ground: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc;
    --mark: #2457c5; --mark-rgb: 36 87 197; --band: #b9ccf3; --bad: #b3401a; --bad-rgb: 196 84 30;
  }
  body { padding: 0; font-size: 10.5pt; }
  section { border: 0; padding: 0; margin-top: 1.1rem; }
  h2, h3 { break-after: avoid; }
  tr, li, svg, .pair > section { break-inside: avoid; }
  .wide { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
