// The sphere: draws the Plotly figure that Python sends as the value, and keeps the canvas alive between values.
const panel = element.querySelector(".sc-sphere");
const plot = panel.querySelector(".sc-plot");
const caption = panel.querySelector(".sc-caption");
const message = panel.querySelector(".sc-message");

async function plotly() {
  while (!window.Plotly) await new Promise((done) => setTimeout(done, 50));
  return window.Plotly;
}

// Drawing WebGL can hold the page up for a while, so the pictures come first.
async function picturesShown() {
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}

async function draw() {
  const value = props.value || {};
  message.textContent = value.message || "";
  for (const part of [plot, caption]) part.style.visibility = value.figure ? "visible" : "hidden";
  if (!value.figure) return;
  await picturesShown();
  if (props.value !== value) return; // a newer figure has come meanwhile
  const figure = JSON.parse(value.figure);
  await (await plotly()).react(plot, figure.data, figure.layout, { displayModeBar: false, responsive: true });
  panel.dataset.traces = figure.data.length;
}

watch("value", draw);
draw();
