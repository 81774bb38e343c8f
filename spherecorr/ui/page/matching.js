// The matcher of Python's `matching/`, cell for cell: similarities of one cell of an image to all cells of the other, by
// features, by the sphere, and mixed; ranks, ways back, and what tells a symmetric mistake.
export const KINDS = ["raw", "sphere", "fused"];
const ROWS_KEPT = 256;
const DEGREES = 180 / Math.PI;

export class Pair {
  // source, target: {framing, channels, vectors} and, under `surface`, what `loadSurface` gives. sphere: the mapper's
  // settings, or null. constants: of the page.
  constructor(source, target, sphere, constants) {
    Object.assign(this, { source, target, sphere, constants });
    this.forth = new Direction(source, target, sphere);
    this.back = new Direction(target, source, sphere);
  }

  get kinds() {
    return this.sphere ? KINDS : ["raw"];
  }

  // Rows of one kind from a cell: of the source, or back from one of the target.
  row(cell, kind, { alpha, foreground }, backwards = false) {
    return (backwards ? this.back : this.forth).row(cell, kind, alpha, foreground);
  }

  // What Python's `match` says of one point.
  match(point, controls) {
    const { source, target, forth } = this;
    const { alpha, foreground, ranks } = controls;
    const cell = source.framing.toCell(point);
    const found = { point, cell };
    for (const kind of this.kinds) {
      const row = forth.row(cell, kind, alpha, foreground);
      const ranked = topCells(row, target.framing, ranks);
      found[kind] = { row, cells: ranked, xy: ranked.map((best) => target.framing.toPixel(best)), score: ranked.map((best) => row[best]) };
    }
    found.rawCycle = this.cycle(point, found.raw.cells[0], "raw", controls);
    if (!this.sphere) return found;
    found.fusedCycle = this.cycle(point, found.fused.cells[0], "fused", controls);
    return source.surface.dim === 3 ? { ...found, ...this.angles(cell, found.raw.cells[0], foreground) } : found;
  }

  cycle(point, matched, kind, { alpha, foreground }) {
    const row = this.back.row(matched, kind, alpha, foreground);
    const [x, y] = this.source.framing.toPixel(bestCell(row));
    return Math.hypot(x - point[0], y - point[1]);
  }

  angles(cell, matched, foreground) {
    const { source, target, sphere, constants } = this;
    const angle = (other) => degrees(dot(source.surface.points, cell * 3, target.surface.points, other * 3, 3));
    const rawAngle = angle(matched);
    const told = this.forth.told(foreground, constants.foreground);
    let nearestAngle = Infinity;
    for (let other = 0; other < told.length; other++) if (told[other]) nearestAngle = Math.min(nearestAngle, angle(other));
    const visible = nearestAngle <= sphere.visible_angle;
    if (sphere.mirror_angle === null) return { rawAngle, nearestAngle, visible, mistake: visible && rawAngle > sphere.symmetric_angle };
    const [x, y, z] = source.surface.points.subarray(cell * 3, cell * 3 + 3);
    const toMirror = degrees(dot([x, -y, z], 0, target.surface.points, matched * 3, 3));
    const mistake = toMirror <= sphere.mirror_angle && toMirror + constants.mirrorMargin < rawAngle;
    return { rawAngle, nearestAngle, visible, mistake };
  }
}

class Direction {
  constructor(source, target, sphere) {
    Object.assign(this, { source, target, sphere });
    this.kept = new Map();
    this.masks = new Map();
  }

  // Which cells of the target can be matched.
  candidates(foreground) {
    if (!this.masks.has(foreground)) {
      const { content, subject } = this.target.surface;
      const chosen = foreground ? content.map((inside, cell) => inside & subject[cell]) : content;
      this.masks.set(foreground, chosen.some(Boolean) ? chosen : content);
    }
    return this.masks.get(foreground);
  }

  // The candidates that are rather the object's; all where none is, or the mapper cannot tell.
  told(foreground, threshold) {
    const candidates = this.candidates(foreground);
    const { probability } = this.target.surface;
    if (!probability) return candidates;
    const told = candidates.map((inside, cell) => (inside && probability[cell] > threshold ? 1 : 0));
    return told.some(Boolean) ? told : candidates;
  }

  row(cell, kind, alpha, foreground) {
    const { raw, sphere } = this.similarities(cell);
    const candidates = this.candidates(foreground);
    const row = new Float32Array(raw.length);
    const share = kind === "raw" ? 0 : kind === "sphere" ? 1 : alpha;
    for (let i = 0; i < row.length; i++) {
      const mixed = share === 0 ? raw[i] : share === 1 ? sphere[i] : (1 - share) * raw[i] + share * sphere[i];
      row[i] = candidates[i] ? mixed : -Infinity;
    }
    return row;
  }

  similarities(cell) {
    let found = this.kept.get(cell);
    if (found) this.kept.delete(cell); // it goes to the end: the oldest is dropped first
    else found = { raw: this.byFeatures(cell), sphere: this.sphere && this.bySurface(cell) };
    this.kept.set(cell, found);
    if (this.kept.size > ROWS_KEPT) this.kept.delete(this.kept.keys().next().value);
    return found;
  }

  byFeatures(cell) {
    const { channels, vectors } = this.source;
    const others = this.target.vectors;
    const query = vectors.subarray(cell * channels, (cell + 1) * channels);
    const row = new Float32Array(this.target.framing.count);
    for (let i = 0, at = 0; i < row.length; i++) {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++, at++) sum += query[channel] * others[at];
      row[i] = sum;
    }
    return row;
  }

  // On the sphere the cosine, on a plane minus the distance; what is surely background counts as lying opposite.
  bySurface(cell) {
    const { points, dim } = this.source.surface;
    const { points: others, probability } = this.target.surface;
    const row = new Float32Array(this.target.framing.count);
    for (let i = 0; i < row.length; i++) {
      if (dim === 3) row[i] = dot(points, cell * 3, others, i * 3, 3);
      else row[i] = -Math.hypot(points[cell * 2] - others[i * 2], points[cell * 2 + 1] - others[i * 2 + 1]);
      if (probability) row[i] = probability[i] * (1 + row[i]) - 1;
    }
    return row;
  }
}

// The cell of the highest value, the first of equal ones.
export function bestCell(row) {
  let best = 0;
  for (let cell = 1; cell < row.length; cell++) if (row[cell] > row[best]) best = cell;
  return best;
}

// The best cells, no two of them neighbours; fewer than `count` where no more are left.
export function topCells(row, { columns, rows }, count) {
  const left = count > 1 ? row.slice() : row;
  const found = [];
  while (found.length < count) {
    const best = bestCell(left);
    if (left[best] === -Infinity) break;
    found.push(best);
    if (found.length === count) break;
    const [column, line] = [best % columns, Math.floor(best / columns)];
    for (let y = Math.max(0, line - 1); y <= Math.min(rows - 1, line + 1); y++)
      for (let x = Math.max(0, column - 1); x <= Math.min(columns - 1, column + 1); x++) left[y * columns + x] = -Infinity;
  }
  return found;
}

// The cell of an image that lies nearest to a direction [x, y, z] of the sphere, among some cells.
export function nearestOnSphere({ points, subject }, direction) {
  let best = -1;
  let nearest = -Infinity;
  for (let cell = 0; cell < subject.length; cell++) {
    const cosine = subject[cell] ? dot(points, cell * 3, direction, 0, 3) : -Infinity;
    if (cosine > nearest) [best, nearest] = [cell, cosine];
  }
  return best;
}

function dot(one, from, other, start, count) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += one[from + i] * other[start + i];
  return sum;
}

function degrees(cosine) {
  return Math.acos(Math.min(1, Math.max(-1, cosine))) * DEGREES;
}
