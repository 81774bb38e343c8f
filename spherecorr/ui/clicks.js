// Clicks on the pictures, in pixels of the shown copies, whatever their size on the screen. Gradio's own select event is
// wrong where a picture is enlarged, as in full screen, and while a new one is loading. The value, which comes together
// with the pictures, says what they are: {source: {key, size}, target: {key, size}}.
const PANES = "#source, #raw, #by-sphere, #fused";

document.addEventListener("click", (event) => {
  const image = event.target;
  const pane = image instanceof HTMLImageElement && image.closest(PANES)?.id;
  const shown = pane && props.value[pane === "source" ? "source" : "target"];
  if (!shown) return;
  const [width, height] = shown.size;
  const box = image.getBoundingClientRect();
  const scale = Math.min(box.width / width, box.height / height); // object-fit: contain
  // Whole numbers tell the pointer's place; the middle of that pixel is meant.
  const x = (event.clientX + 0.5 - box.left - (box.width - width * scale) / 2) / scale;
  const y = (event.clientY + 0.5 - box.top - (box.height - height * scale) / 2) / scale;
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  trigger("select", { pane, key: shown.key, x, y });
});
