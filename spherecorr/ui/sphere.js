// The sphere: draws the Plotly figure that Python sends as the value, and keeps the canvas alive between values.
const panel = element.querySelector(".sc-sphere");
const plot = panel.querySelector(".sc-plot");
const message = panel.querySelector(".sc-message");

async function plotly() {
  while (!window.Plotly) await new Promise((done) => setTimeout(done, 50));
  return window.Plotly;
}

async function draw() {
  const value = props.value || {};
  message.textContent = value.message || "";
  plot.style.visibility = value.figure ? "visible" : "hidden";
  if (!value.figure) return;
  const figure = JSON.parse(value.figure);
  await (await plotly()).react(plot, figure.data, figure.layout, { displayModeBar: false, responsive: true });
  panel.dataset.traces = figure.data.length;
}

watch("value", draw);
draw();
