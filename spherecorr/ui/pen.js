// Marking a picture with the pointer: a line follows it, a box spans from where it went down. Shared by those who read this
// file in front of their own.
//   target    where pointer events are listened for
//   locate    (event, image?) -> {x, y, width, height, inside, ...} in pixels of the picture, or null beside one
//   kindOf    (place) -> "object", "background" or "box"; null: nothing is drawn
//   apply     (kind, path, place) is told of what was drawn; place is where it began
function listenToPen({ target, locate, kindOf, apply }) {
  const STEP = 4; // screen pixels between two points of a stroke
  const MOST = 200; // points of a stroke
  const COLOURS = { object: "#22c55e", background: "#ef4444", box: "#22c55e" };
  let drawn = null; // {kind, image, place, path, screen, ink} while the pointer is down

  // The nearest point [x, y] of the picture.
  const within = ({ x, y, width, height }) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];

  target.addEventListener("pointerdown", (event) => {
    const place = event.isPrimary && event.button === 0 && locate(event);
    const kind = place && kindOf(place);
    if (!kind) return;
    event.preventDefault(); // no text is selected
    if (!place.inside && kind !== "box") return; // a box may begin beside the picture
    const ink = (event.target.closest("dialog") || document.body).appendChild(document.createElement("canvas"));
    Object.assign(ink, { className: "sc-ink", width: innerWidth, height: innerHeight });
    drawn = { kind, image: event.target, place, path: [within(place)], screen: [[event.clientX, event.clientY]], ink };
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
    const { kind, path, place, ink } = drawn;
    drawn = null;
    setTimeout(() => ink.remove(), 700); // until the outline comes
    apply(kind, path, place);
  });

  document.addEventListener("pointercancel", () => {
    drawn?.ink.remove();
    drawn = null;
  });

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
}
