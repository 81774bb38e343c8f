// What the panel "Teach" is made of: its skeleton, and drawings of arrows, outlines, losses and errors as HTML.
export const SKELETON = `
  <p class="sc-hint">Make a sphere for photographs of your own: 10 to 60 of one kind of object, seen from several sides. Say
    under each which way the object faces, check its outline, and train. No other visitor sees them.</p>
  <div class="sc-teach-bar">
    <label class="sc-teach-drop"><input type="file" multiple accept="image/*" aria-label="Add photographs">
      <span><b>Add photographs</b> or drop them here</span></label>
    <label class="sc-teach-kind">Kind of object <input type="text" maxlength="40" placeholder="llama" autocomplete="off"></label>
    <button type="button" class="sc-teach-forget">Delete everything</button>
  </div>
  <p class="sc-status sc-teach-say" role="status"></p>
  <ul class="sc-teach-troubles" role="alert"></ul>
  <ul class="sc-teach-photographs" aria-label="Photographs"></ul>
  <div class="sc-teach-train">
    <button type="button" class="sc-teach-go">Train</button>
    <button type="button" class="sc-teach-stop">Stop</button>
    <button type="button" class="sc-teach-use">Use this sphere</button>
    <button type="button" class="sc-teach-zip">Download it (ZIP)</button>
    <span class="sc-teach-from"></span>
  </div>
  <div class="sc-teach-progress" role="status"><progress max="1" value="0" aria-label="Steps of the training"></progress>
    <span></span></div>
  <div class="sc-teach-result"><div class="sc-teach-curve"></div><div class="sc-teach-errors"></div></div>
  <div class="sc-teach-maps"></div>
  <dialog class="sc-teach-paint" aria-label="Paint the object">
    <div class="sc-teach-tools"></div><div class="sc-teach-paper"><div class="sc-teach-canvas"></div></div>
    <p class="sc-hint" role="status"></p>
  </dialog>`;

export const TURNS = ["faces you", "faces you, to the left", "faces left", "faces away, to the left", "faces away",
  "faces away, to the right", "faces right", "faces you, to the right"];

export const pathOf = (outline) => (outline || []).map((line) => `M${line.map((point) => point.join(" ")).join("L")}Z`).join("");
export const outlineDrawing = (size) => `<svg viewBox="0 0 ${size[0]} ${size[1]}" aria-hidden="true">
  <path class="sc-outline sc-light"/><path class="sc-outline sc-dark"/></svg>`;
// Seen from above, with the photographer below: the arrow of azimuth 0 points down, at the photographer, and 90 to the left.
export const dialDrawing = () => `<svg viewBox="-40 -40 80 86" aria-hidden="true"><circle r="34"/>
  ${[...Array(8).keys()].map((i) => `<line y1="29" y2="34" transform="rotate(${45 * i})"/>`).join("")}
  <g class="sc-arrow"><path d="M-3 -22L3 -22L3 6L11 6L0 24L-11 6L-3 6Z"/><path d="M-8 -26L0 -19L8 -26L8 -20L0 -13L-8 -20Z"/></g>
  <text y="8">?</text><path class="sc-camera" d="M-7 37h3l2 -2h4l2 2h3v8h-14z"/></svg>`;

const DASHES = ["none", "7 3", "2 3", "8 3 2 3"];
export function curve(losses, steps) {
  if (losses.length < 2) return "";
  const names = Object.keys(losses[0][1]);
  const most = Math.max(...losses.flatMap(([, values]) => Object.values(values)));
  const line = (name) => losses.map(([step, values]) => `${(step / (steps || step)) * 300},${98 - (values[name] / most) * 94}`);
  const legend = names.map((name, i) => `<span><svg viewBox="0 0 28 6" aria-hidden="true"><path d="M0 3H28"
    stroke-dasharray="${DASHES[i % 4]}"/></svg>${name} ${losses[losses.length - 1][1][name].toFixed(3)}</span>`);
  return `<h4>Losses</h4><svg class="sc-lines" viewBox="0 0 300 100" preserveAspectRatio="none" role="img"
    aria-label="Losses by step">${names.map((name, i) => `<polyline points="${line(name).join(" ")}"
    stroke-dasharray="${DASHES[i % 4]}"/>`).join("")}</svg><div class="sc-legend">${legend.join("")}</div>`;
}
export function errors(told, photographs, asked) {
  if (!told) return "";
  const row = (name, found) => found && `<tr><th scope="row">${name}</th><td>${found.median.toFixed(0)}°</td>
    <td>${(found.near * 100).toFixed(0)} %</td><td>${(found.reversed * 100).toFixed(0)} %</td></tr>`;
  const mirrored = asked > photographs ? ", each also as its mirror image" : "";
  return `<h4>Direction of ${photographs} photographs that taught nothing${mirrored}</h4><table><thead><tr><th scope="col">
    Sphere</th><th scope="col">median error</th><th scope="col">within 30°</th><th scope="col">beyond 90°</th></tr></thead>
    <tbody>${row("before", told.before) || ""}${row("after", told.after)}</tbody></table><p class="sc-hint">${photographs}
    photographs are few: others would move these figures by several degrees.</p>`;
}
