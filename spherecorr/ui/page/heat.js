// A similarity row as a small picture, one pixel a cell: the more similar, the brighter and the less transparent.
export function heatPicture(row, { columns, rows }, colours) {
  const finite = row.filter((value) => value !== -Infinity).sort();
  if (!finite.length) return null;
  // Half of the cells are the background of the question; the colours are for the better half.
  const middle = finite.length / 2;
  const low = (finite[Math.ceil(middle) - 1] + finite[Math.floor(middle)]) / 2;
  const span = Math.max(finite[finite.length - 1] - low, 1e-6);
  const picture = new ImageData(columns, rows);
  for (let cell = 0; cell < row.length; cell++) {
    const heat = Math.min(Math.max((row[cell] - low) / span, 0), 1);
    const colour = Math.trunc(heat * 255) * 3;
    for (let i = 0; i < 3; i++) picture.data[cell * 4 + i] = colours[colour + i];
    picture.data[cell * 4 + 3] = 255 * heat ** 0.7;
  }
  const canvas = new OffscreenCanvas(columns, rows);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}
