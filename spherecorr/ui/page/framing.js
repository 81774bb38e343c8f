// How an image became a grid of cells: the arithmetic of Python's `Framing`. Points are [x, y] in original pixels, cells
// are numbers: row * columns + column.
export class Framing {
  constructor({ size, grid, patch, scale, offset, first, last }) {
    Object.assign(this, { size, grid, patch, scale, offset, first, last });
    [this.columns, this.rows] = grid;
    this.count = this.columns * this.rows;
  }

  toGrid(point) {
    return point.map((value, axis) => (value * this.scale[axis] + this.offset[axis]) / this.patch);
  }

  // The cell that holds a point; far edges belong to the last cell of the image.
  toCell(point) {
    const [column, row] = this.toGrid(point).map((value, axis) =>
      Math.min(Math.max(Math.floor(value + 1e-9), this.first[axis]), this.last[axis]),
    );
    return row * this.columns + column;
  }

  // The centre of a cell.
  toPixel(cell) {
    const place = [cell % this.columns, Math.floor(cell / this.columns)];
    return place.map((value, axis) => ((value + 0.5) * this.patch - this.offset[axis]) / this.scale[axis]);
  }

  // The centre of the cell so many columns and rows away, within the image.
  step(point, columns, rows) {
    const cell = this.toCell(point);
    const place = [(cell % this.columns) + columns, Math.floor(cell / this.columns) + rows];
    const [column, row] = place.map((value, axis) => Math.min(Math.max(value, this.first[axis]), this.last[axis]));
    return this.toPixel(row * this.columns + column);
  }
}
