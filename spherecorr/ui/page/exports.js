// What a person takes away: JSON, CSV, PNG of each picture and of the whole figure, and all of it as a ZIP. Made here, so
// that neither a full disk nor a lost network is in the way.
import { KINDS } from "./matching.js";
import { zip } from "./zip.js";

const LONGEST = 1024; // pixels of a picture's long side
const GAP = 16;
const CAPTION = 44;
const READINGS = ["raw_cycle", "fused_cycle", "raw_angle", "nearest_angle", "symmetric_mistake", "visible"];

export function jsonText(about, found) {
  return JSON.stringify({ ...about, matches: found }, null, 1);
}

// The best match of each kind per point, in original pixels.
export function csvText(found) {
  const columns = ["number", "source_x", "source_y", ...KINDS.flatMap((kind) => ["x", "y", "score"].map((part) => `${kind}_${part}`)), ...READINGS];
  const lines = found.map((record) => [
    record.number,
    ...record.source,
    ...KINDS.flatMap((kind) => (record[kind]?.[0] ? [...record[kind][0].xy, record[kind][0].score] : ["", "", ""])),
    ...READINGS.map((name) => record[name] ?? ""),
  ]);
  return [columns, ...lines].map((line) => line.join(",") + "\n").join("");
}

// panes: [[title, Pane]]; answers [[file name, Blob]], the whole figure first.
export async function pictures(panes) {
  const drawn = panes.filter(([, pane]) => pane.scene.bitmap).map(([title, pane]) => [title, pane.render(LONGEST)]);
  const height = Math.max(...drawn.map(([, canvas]) => canvas.height));
  const width = drawn.reduce((sum, [, canvas]) => sum + canvas.width + GAP, GAP);
  const figure = new OffscreenCanvas(width, height + CAPTION + GAP);
  const pen = figure.getContext("2d");
  Object.assign(pen, { fillStyle: "white" }).fillRect(0, 0, figure.width, figure.height);
  Object.assign(pen, { fillStyle: "black", font: "600 24px system-ui, sans-serif", textBaseline: "middle" });
  let left = GAP;
  for (const [title, canvas] of drawn) {
    pen.fillText(title, left, CAPTION / 2);
    pen.drawImage(canvas, left, CAPTION);
    left += canvas.width + GAP;
  }
  const all = [["figure", figure], ...drawn.map(([title, canvas]) => [title.toLowerCase().replace(/[^a-z]+/g, "-"), canvas])];
  return Promise.all(all.map(async ([name, canvas]) => [`${name}.png`, await canvas.convertToBlob({ type: "image/png" })]));
}

export async function archive(texts, images) {
  const encoder = new TextEncoder();
  const files = texts.map(([name, text]) => [name, encoder.encode(text)]);
  for (const [name, blob] of images) files.push([name, new Uint8Array(await blob.arrayBuffer())]);
  return zip(files);
}

export function save(name, content, type = "") {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
