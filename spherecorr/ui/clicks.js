// Clicks on the pictures, in pixels of the shown copies, whatever their size on the screen. Gradio's own select event is
// wrong where a picture is enlarged, as in full screen, and while a new one is loading. The value, which comes together
// with the pictures, says what they are: {source: {key, size}, target: {key, size}}. While the panel "Mark the object" is
// open, what is drawn on a picture marks the object instead.
const PANES = "#source, #raw, #by-sphere, #fused";
const STEP = 4; // screen pixels between two points of a stroke
const MOST = 200; // points of a stroke
const COLOURS = { object: "#22c55e", background: "#ef4444", box: "#22c55e" };

// What the panel says is drawn; null while it is closed.
function marking() {
  const chosen = document.querySelector("#mark-kind input:checked");
  return chosen && chosen.offsetParent ? chosen.value : null;
}

// The pane that an event is on, its picture, and the event's place in pixels of the shown copy.
function locate(event, image = event.target) {
  const pane = image instanceof HTMLImageElement && image.closest(PANES)?.id;
  const shown = pane && props.value[pane === "source" ? "source" : "target"];
  if (!shown) return null;
  const [width, height] = shown.size;
  const box = image.getBoundingClientRect();
  const scale = Math.min(box.width / width, box.height / height); // object-fit: contain
  // Whole numbers tell the pointer's place; the middle of that pixel is meant.
  const x = (event.clientX + 0.5 - box.left - (box.width - width * scale) / 2) / scale;
  const y = (event.clientY + 0.5 - box.top - (box.height - height * scale) / 2) / scale;
  return { pane, key: shown.key, x, y, width, height, inside: x >= 0 && y >= 0 && x < width && y < height };
}

document.addEventListener("click", (event) => {
  if (marking()) return;
  const place = locate(event);
  if (place?.inside) trigger("select", { pane: place.pane, key: place.key, x: place.x, y: place.y });
});

// The nearest point [x, y] of the picture.
function within({ x, y, width, height }) {
  return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
}

let drawn = null; // {kind, image, pane, key, path, screen, ink} while the pointer is down

document.addEventListener("pointerdown", (event) => {
  const kind = marking();
  const place = kind && event.isPrimary && event.button === 0 && locate(event);
  if (!place) return;
  event.preventDefault(); // no text is selected
  if (!place.inside && kind !== "box") return; // a box may begin beside the picture
  const ink = document.body.appendChild(document.createElement("canvas"));
  Object.assign(ink, { className: "sc-ink", width: innerWidth, height: innerHeight });
  const { pane, key } = place;
  drawn = { kind, image: event.target, pane, key, path: [within(place)], screen: [[event.clientX, event.clientY]], ink };
  show();
});

document.addEventListener("pointermove", (event) => {
  if (!drawn || !event.isPrimary) return;
  const [left, top] = drawn.screen[drawn.screen.length - 1];
  if (Math.hypot(event.clientX - left, event.clientY - top) < STEP) return;
  const place = locate(event, drawn.image);
  if (!place) return;
  const replaced = drawn.kind === "box" ? drawn.path.length - 1 : 0; // a box has two corners
  const kept = replaced || drawn.path.length >= MOST ? drawn.path.length - 1 : drawn.path.length;
  drawn.path[kept] = within(place);
  drawn.screen[kept] = [event.clientX, event.clientY];
  show();
});

document.addEventListener("pointerup", (event) => {
  if (!drawn || !event.isPrimary) return;
  const { kind, pane, key, path, ink } = drawn;
  drawn = null;
  setTimeout(() => ink.remove(), 700); // until the outline comes
  trigger("apply", { kind, pane, key, path });
});

document.addEventListener("pointercancel", () => {
  drawn?.ink.remove();
  drawn = null;
});

// A finger that marks does not scroll, and a mouse does not carry the picture away.
document.addEventListener("touchstart", (event) => marking() && locate(event) && event.preventDefault(), { passive: false });
document.addEventListener("dragstart", (event) => marking() && locate(event) && event.preventDefault());

function show() {
  const pen = drawn.ink.getContext("2d");
  const [first, last] = [drawn.screen[0], drawn.screen[drawn.screen.length - 1]];
  pen.clearRect(0, 0, drawn.ink.width, drawn.ink.height);
  Object.assign(pen, { strokeStyle: COLOURS[drawn.kind], lineWidth: drawn.kind === "box" ? 2 : 6 });
  Object.assign(pen, { lineCap: "round", lineJoin: "round", globalAlpha: 0.8 });
  pen.beginPath();
  if (drawn.kind === "box") pen.rect(...first, last[0] - first[0], last[1] - first[1]);
  else for (const at of [first, ...drawn.screen]) pen.lineTo(...at);
  pen.stroke();
}
