// Numbered pins, rings, and other marks on a picture. Places are [x, y] in the drawing's own pixels.
const RIM = 1.22; // radius of a head with its white rim, in radii of the head

// Places for a head in its radii, the best first: upright, then ever more to either side and farther.
const PLACES = [2.1, 4.6, 7.1].flatMap((length) =>
  Array.from({ length: 16 }, (_, i) => (i * 12 * Math.PI) / 180).flatMap((turn) =>
    [turn, -turn].map((angle) => [length * Math.sin(angle), -length * Math.cos(angle)]),
  ),
);

// pins: [{at, label, colour, textColour, active}]. All stems lie below all heads below all tips, the active one on top.
export function drawPins(pen, pins, unit, [width, height]) {
  const radii = pins.map(({ active }) => unit * (active ? 3.3 : 2.6));
  const heads = spreadHeads(pins.map(({ at }) => at), radii, [width, height]);
  const order = pins.map((_, i) => i).sort((a, b) => Boolean(pins[a].active) - Boolean(pins[b].active));
  for (const part of [drawStem, drawHead, drawTip])
    for (const i of order) part(pen, pins[i], heads[i], radii[i]);
}

// Where heads stand: above their tip, or below where the image ends, unless they would cover another head or tip; then at
// the nearest free place around their own tip, or where they are covered least.
function spreadHeads(tips, radii, [width, height]) {
  const heads = [];
  tips.forEach(([x, y], i) => {
    const down = y > 3.3 * radii[i] ? 1 : -1;
    const reach = RIM * radii[i];
    const others = [
      ...heads.map((head, j) => [head, RIM * (radii[i] + radii[j])]),
      ...tips.filter((_, j) => j !== i).map((tip) => [tip, reach]),
    ];
    let best = null;
    for (const [dx, dy] of PLACES) {
      const head = [x + dx * radii[i], y + dy * down * radii[i]];
      let covered = Math.max(0, reach - Math.min(head[0], width - head[0])) + Math.max(0, reach - Math.min(head[1], height - head[1]));
      for (const [[ox, oy], clear] of others) covered += Math.max(0, clear - Math.hypot(head[0] - ox, head[1] - oy));
      if (!best || covered < best.covered - 1e-9) best = { head, covered };
      if (covered === 0) break;
    }
    heads.push(best.head);
  });
  return heads;
}

function drawStem(pen, { at: [x, y], colour }, [hx, hy], radius) {
  const length = Math.hypot(hx - x, hy - y) || 1;
  const [ux, uy] = [(hx - x) / length, (hy - y) / length];
  const rim = (RIM - 1) * radius;
  for (const [grow, fill] of [[rim, "white"], [0, colour]]) {
    const half = 0.62 * radius + grow;
    const [bx, by] = [hx - ux * 0.8 * radius, hy - uy * 0.8 * radius];
    pen.beginPath();
    pen.moveTo(x - ux * grow, y - uy * grow);
    pen.lineTo(bx + uy * half, by - ux * half);
    pen.lineTo(bx - uy * half, by + ux * half);
    pen.fillStyle = fill;
    pen.fill();
  }
}

function drawHead(pen, { label, colour, textColour }, [x, y], radius) {
  disc(pen, [x, y], RIM * radius, "white");
  disc(pen, [x, y], radius, colour);
  pen.fillStyle = textColour;
  pen.font = `600 ${1.3 * radius}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(label, x, y + 0.06 * radius);
}

function drawTip(pen, { at, colour }, head, radius) {
  disc(pen, at, 0.34 * radius, "white");
  disc(pen, at, 0.2 * radius, colour);
}

export function disc(pen, [x, y], radius, fill) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
}

export function ring(pen, [x, y], radius, strokes) {
  for (const [colour, width] of strokes) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    Object.assign(pen, { strokeStyle: colour, lineWidth: width });
    pen.stroke();
  }
}

// A sentence over the whole picture, for what cannot be shown.
export function veil(pen, text, [width, height]) {
  pen.fillStyle = "rgba(71, 80, 92, 0.8)";
  pen.fillRect(0, 0, width, height);
  const size = Math.max(11, Math.max(width, height) / 24);
  Object.assign(pen, { fillStyle: "white", font: `${size}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle" });
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (pen.measureText(longer).width > width * 0.9 && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  lines.forEach((line, i) => pen.fillText(line, width / 2, height / 2 + (i - (lines.length - 1) / 2) * size * 1.35));
}
