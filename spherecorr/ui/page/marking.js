// While the panel "Mark the object" is open, what is drawn on a picture marks the object.
const STEP = 4; // screen pixels between two points of a stroke
const COLOURS = { object: "#22c55e", background: "#ef4444", box: "#22c55e" };

// panes: [Pane]; tool: () -> "object", "background", "box" or null; apply: (pane, tool, path in original pixels).
export function startMarking(panes, { tool, apply, mostPoints }) {
  let drawn = null; // {pane, tool, path, screen, ink} while the pointer is down

  for (const pane of panes) {
    const { canvas } = pane;
    canvas.addEventListener("pointerdown", (event) => {
      const chosen = tool();
      if (!chosen || !event.isPrimary || event.button !== 0) return;
      event.preventDefault();
      if (!pane.place(event, chosen === "box")) return; // a box may begin beside the picture
      canvas.setPointerCapture(event.pointerId);
      const ink = canvas.parentElement.appendChild(document.createElement("canvas"));
      Object.assign(ink, { className: "sc-ink", width: canvas.clientWidth, height: canvas.clientHeight });
      drawn = { pane, tool: chosen, path: [], screen: [], ink };
      add(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawn || !event.isPrimary) return;
      const [left, top] = drawn.screen.at(-1);
      if (Math.hypot(event.offsetX - left, event.offsetY - top) >= STEP) add(event);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!drawn || !event.isPrimary) return;
      const { ink, path, tool: chosen } = drawn;
      drawn = null;
      setTimeout(() => ink.remove(), 700); // until the outline comes
      apply(pane, chosen, path);
    });
    canvas.addEventListener("pointercancel", () => {
      drawn?.ink.remove();
      drawn = null;
    });
    // A finger that marks does not scroll.
    canvas.addEventListener("touchstart", (event) => tool() && event.preventDefault(), { passive: false });
  }

  function add(event) {
    const replaced = drawn.tool === "box" ? 1 : mostPoints - 1; // a box has two corners
    const at = Math.min(drawn.path.length, replaced);
    drawn.path[at] = drawn.pane.place(event, true);
    drawn.screen[at] = [event.offsetX, event.offsetY];
    show();
  }

  function show() {
    const pen = drawn.ink.getContext("2d");
    const [first, last] = [drawn.screen[0], drawn.screen.at(-1)];
    pen.clearRect(0, 0, drawn.ink.width, drawn.ink.height);
    Object.assign(pen, { strokeStyle: COLOURS[drawn.tool], lineWidth: drawn.tool === "box" ? 2 : 6, lineCap: "round", lineJoin: "round", globalAlpha: 0.8 });
    pen.beginPath();
    if (drawn.tool === "box") pen.rect(...first, last[0] - first[0], last[1] - first[1]);
    else for (const at of [first, ...drawn.screen]) pen.lineTo(...at);
    pen.stroke();
  }
}
