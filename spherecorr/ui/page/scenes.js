// What is drawn on the four pictures, the sphere and in the table, from the explorer's state.
import { heatPicture } from "./heat.js";
import { KINDS, bestCell, nearestOnSphere } from "./matching.js";
import { fillTable, records } from "./table.js";

const GHOST = "#111827";

export class Scenes {
  constructor(explorer) {
    this.explorer = explorer;
  }

  draw() {
    const { pair, panes, pictures } = this.explorer;
    const matches = this.explorer.matches();
    const hovered = this.hovered();
    panes.source.draw(this.source(pictures.source, hovered));
    for (const kind of KINDS) panes[kind].draw(this.target(kind, pictures.target, matches, hovered));
    this.globe(pair, matches, hovered);
    this.table(matches);
  }

  // What the pointer is on: {source, target: cells of both images, kind, rows: by kind, back: a row over the source,
  // cells: {source, target} to be outlined}.
  hovered() {
    const { pair, hover, controls } = this.explorer;
    if (!pair || !hover) return {};
    if (hover.direction) {
      const [source, target] = [pair.source, pair.target].map(({ surface }) => nearestOnSphere(surface, hover.direction));
      return { cells: { source, target }, direction: hover.direction };
    }
    if (hover.kind === "source") {
      const source = pair.source.framing.toCell(hover.point);
      const rows = Object.fromEntries(pair.kinds.map((kind) => [kind, pair.row(source, kind, controls)]));
      return { source, rows, cells: { source } };
    }
    const target = pair.target.framing.toCell(hover.point);
    if (!pair.kinds.includes(hover.kind)) return { cells: { target } };
    return { target, kind: hover.kind, back: pair.row(target, hover.kind, controls, true), cells: { target } };
  }

  source(picture, { back, cells }) {
    if (!picture) return {};
    const { pair, points, active } = this.explorer;
    const pins = points.map((at, i) => this.pin(at, i, active));
    const scene = { bitmap: picture.bitmap, size: picture.size, pins, cells: outlined(pair?.source, cells?.source) };
    if (!back) return scene;
    return { ...scene, heat: this.heat(back, pair.source.framing), ghosts: [{ at: pair.source.framing.toPixel(bestCell(back)), colour: GHOST }] };
  }

  target(kind, picture, matches, { rows, cells }) {
    if (!picture) return {};
    const { pair, active, shown, constants } = this.explorer;
    const scene = { bitmap: picture.bitmap, size: picture.size };
    if (!pair) return scene;
    if (!pair.kinds.includes(kind)) return { ...scene, text: shown.problem };
    const { framing } = pair.target;
    const row = rows?.[kind] ?? matches[active]?.[kind].row;
    return {
      ...scene,
      heat: row && this.heat(row, framing),
      cells: outlined(pair.target, cells?.target),
      ranks: (matches[active]?.[kind].xy ?? []).slice(1).map((at) => ({ at, colour: constants.colours[active % constants.colours.length] })),
      moved: kind === "fused" ? this.moved(matches).flatMap((moved, i) => (moved ? [matches[i].fused.xy[0]] : [])) : [],
      pins: matches.flatMap((found, i) => (found[kind].xy.length ? [this.pin(found[kind].xy[0], i, active)] : [])),
      ghosts: rows ? [{ at: framing.toPixel(bestCell(rows[kind])), colour: GHOST }] : [],
    };
  }

  // Per match, whether alpha has moved it from where the sphere's own alpha has it.
  moved(matches) {
    const { pair, controls } = this.explorer;
    if (!pair.sphere || controls.alpha === pair.sphere.alpha) return matches.map(() => false);
    if (this.compared?.matches !== matches) this.compared = { matches, moved: this.compare(matches) };
    return this.compared.moved;
  }

  compare(matches) {
    const { pair, controls } = this.explorer;
    return matches.map(({ cell, fused }) => bestCell(pair.row(cell, "fused", { ...controls, alpha: pair.sphere.alpha })) !== fused.cells[0]);
  }

  heat(row, framing) {
    const { controls, constants } = this.explorer;
    return controls.heat > 0 ? { picture: heatPicture(row, framing, constants.heat), framing, opacity: controls.heat } : null;
  }

  pin(at, i, active) {
    const { colours, textColours } = this.explorer.constants;
    return { at, label: String(i + 1), colour: colours[i % colours.length], textColour: textColours[i % colours.length], active: i === active };
  }

  globe(pair, matches, { source, target, direction, kind, back }) {
    const { globe, active } = this.explorer;
    if (!pair?.sphere || pair.source.surface.dim !== 3) return globe.mark([], []);
    const at = (image, cell) => [...image.surface.points.subarray(cell * 3, cell * 3 + 3)];
    const marks = matches.map((found, i) => ({
      ...this.pin(at(pair.source, found.cell), i, active),
      match: found.fused.cells.length ? at(pair.target, found.fused.cells[0]) : null,
    }));
    const ghosts = [];
    if (source !== undefined) ghosts.push(at(pair.source, source));
    if (target !== undefined) ghosts.push(at(pair.target, target));
    if (kind && back) ghosts.push(at(pair.source, bestCell(back)));
    if (direction) ghosts.push(direction);
    globe.mark(marks, ghosts.map((place) => ({ at: place, colour: GHOST })));
  }

  // The table changes with the matches only, not with the pointer.
  table(matches) {
    const table = document.querySelector("#table table");
    if (!table) return;
    const { pair, active, constants } = this.explorer;
    if (this.tabled?.matches === matches && this.tabled.active === active) return;
    this.tabled = { matches, active };
    const found = records(matches);
    const moved = pair ? this.moved(matches) : [];
    fillTable(table, found, { active, moved, ...constants, choose: (i) => this.explorer.choose(i) });
    document.querySelector("#table").classList.toggle("sc-empty", !found.length);
  }
}

function outlined(image, cell) {
  return image && cell >= 0 ? [{ framing: image.framing, cell }] : [];
}
