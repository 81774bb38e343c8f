// The matches as records, which are what Python's `match_records` gives, and the records as the page's table.
import { KINDS } from "./matching.js";

const HEAD = [
  ["point", "Number of the point"],
  ["source", "The point, in original pixels of the source"],
  ["raw", "Best match by the backbone's features: original pixels of the target, cosine similarity"],
  ["sphere", "Best match by the sphere"],
  ["fused", "Best match by both, mixed with alpha"],
  ["angle", "Degrees on the sphere between the point and its raw match"],
  ["cycle", "Pixels between the point and the way there and back: raw, fused"],
  ["remarks", "What to look at"],
];

export function records(matches) {
  return matches.map((found, i) => ({
    number: i + 1,
    source: found.point.map(hundredths),
    ...Object.fromEntries(KINDS.map((kind) => [kind, ranked(found[kind])])),
    raw_cycle: optional(found.rawCycle),
    fused_cycle: optional(found.fusedCycle),
    raw_angle: optional(found.rawAngle),
    nearest_angle: optional(found.nearestAngle),
    symmetric_mistake: found.mistake ?? null,
    visible: found.visible ?? null,
  }));
}

function ranked(matches) {
  if (!matches) return null;
  return matches.xy.map((xy, i) => ({ xy: xy.map(hundredths), score: Math.round(matches.score[i] * 1e4) / 1e4 }));
}

const hundredths = (value) => Math.round(value * 100) / 100;
const optional = (value) => (value === undefined ? null : hundredths(value));

// found: of `records`. moved: per row, whether alpha has moved the fused match from where the advised alpha has it.
export function fillTable(table, found, { active, moved, colours, textColours, choose }) {
  const head = row("th", HEAD.map(([name, title]) => ({ text: name, title, scope: "col" })));
  const body = found.map((record, i) => {
    const cells = [pixels(record.source), ...KINDS.map((kind) => match(record[kind]?.[0]))];
    cells.push(record.raw_angle === null ? "–" : `${record.raw_angle.toFixed(0)}°`);
    const cycles = [record.raw_cycle, record.fused_cycle].filter((value) => value !== null);
    cells.push(`${cycles.map((value) => value.toFixed(0)).join(" · ")} px`);
    const line = row("td", [{ text: "" }, ...cells.map((text) => ({ text })), { text: "" }]);
    const badge = Object.assign(document.createElement("button"), { className: "sc-badge", textContent: record.number });
    badge.style.cssText = `background:${colours[i % colours.length]};color:${textColours[i % colours.length]}`;
    badge.title = `Make point ${record.number} the active one`;
    badge.onclick = () => choose(i);
    line.firstChild.append(badge);
    line.lastChild.append(...flags(record, moved[i]));
    if (i === active) line.className = "sc-active";
    return line;
  });
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...body);
}

function row(tag, cells) {
  const line = document.createElement("tr");
  for (const { text, ...attributes } of cells) {
    const cell = line.appendChild(document.createElement(tag));
    cell.textContent = text;
    Object.assign(cell, attributes);
  }
  return line;
}

function flags(record, moved) {
  const said = [
    [record.symmetric_mistake, "sc-mistake", "likely symmetric mistake"],
    [record.visible === false, "sc-unseen", "not visible"],
    [moved, "sc-moved", "moved by alpha"],
  ];
  return said.filter(([holds]) => holds).flatMap(([, kind, text]) => [
    Object.assign(document.createElement("span"), { className: `sc-flag ${kind}`, textContent: text }),
    " ",
  ]);
}

const pixels = ([x, y]) => `${x.toFixed(0)}, ${y.toFixed(0)}`;
const match = (best) => (best ? `${pixels(best.xy)} (${best.score.toFixed(2)})` : "–");
