// Pointer, keyboard, buttons and files of the explorer.
import { archive, csvText, jsonText, pictures, save } from "./exports.js";
import { startMarking } from "./marking.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TITLES = { source: "Source", raw: "Raw features", sphere: "Sphere", fused: "Raw + sphere" };
const ENLARGE = "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"; // paths of 16 x 16 icons
const SAVE = "M8 2v8M4.5 7L8 10.5 11.5 7M2.5 13.5h11";
const THEME_KEPT = "spherecorr-theme";

export function startInput(explorer) {
  const { element, panes, constants } = explorer;
  const role = (name) => (name === "source" ? "source" : "target");
  const tool = () => {
    const panel = element.querySelector(".sc-mark");
    return panel.open ? panel.querySelector("input:checked").value : null;
  };

  for (const [name, pane] of Object.entries(panes)) {
    const { canvas, figure } = pane;
    const hover = (event) => {
      const point = !tool() && pane.place(event);
      if (point || explorer.hover) explorer.pointAt(point ? { kind: name, point } : null);
    };
    canvas.addEventListener("pointermove", hover);
    canvas.addEventListener("pointerleave", () => explorer.pointAt(null));
    canvas.addEventListener("pointercancel", () => explorer.pointAt(null));
    canvas.addEventListener("click", (event) => {
      const point = !tool() && explorer.pictures[role(name)] && pane.place(event);
      if (!point) return;
      if (name === "source") explorer.addPoint(point);
      else explorer.addFromTarget(name, point);
      if (event.pointerType === "touch") explorer.pointAt(null);
    });
    figure.append(...paneButtons(pane, TITLES[name]));
    figure.addEventListener("dragover", (event) => event.preventDefault());
    figure.addEventListener("drop", (event) => {
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (file) explorer.uploadFile(role(name), file);
    });
  }

  startMarking(Object.values(panes), {
    tool,
    mostPoints: constants.maxStrokePoints,
    apply: (pane, chosen, path) => {
      const picture = explorer.pictures[role(pane.figure.dataset.pane)];
      if (picture) explorer.ask("mark", { role: role(pane.figure.dataset.pane), key: picture.key, tool: chosen, path });
    },
  });

  panes.source.canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { points, active, pictures: shown } = explorer;
    if (ARROWS[event.key]) explorer.movePoint(...ARROWS[event.key].map((step) => step * (event.shiftKey ? 4 : 1)));
    else if (["Delete", "Backspace"].includes(event.key) && active !== null) explorer.removePoint(active);
    else if (event.key.toLowerCase() === "z" && points.length) explorer.removePoint(points.length - 1);
    else if (event.key === "Enter" && shown.source) explorer.addPoint(explorer.hover?.point ?? shown.source.size.map((side) => side / 2));
    else if (event.key >= "1" && event.key <= "9" && Number(event.key) <= points.length) explorer.choose(Number(event.key) - 1);
    else if (event.key === "Escape") explorer.pointAt(null);
    else return;
    event.preventDefault();
  });

  const file = element.querySelector("input[type=file]");
  const pick = (chosen) => () => {
    file.onchange = () => {
      if (file.files[0]) explorer.uploadFile(chosen, file.files[0]);
      file.value = "";
    };
    file.click();
  };
  const buttons = {
    "upload-source": pick("source"),
    "upload-target": pick("target"),
    mirror: () => explorer.ask("mirror"),
    swap: () => explorer.swap(),
    undo: () => explorer.points.length && explorer.removePoint(explorer.points.length - 1),
    clear: () => explorer.setPoints([], null),
    "clear-marks": () => explorer.ask("clear-marks"),
  };
  for (const [name, act] of Object.entries(buttons)) element.querySelector(`[data-do=${name}]`).addEventListener("click", act);

  for (const field of element.querySelectorAll("[data-set]")) {
    const { set } = field.dataset;
    field.addEventListener("input", () => explorer.set(set, field.type === "checkbox" ? field.checked : Number(field.value)));
    explorer.set(set, explorer.controls[set]);
  }

  document.addEventListener("click", (event) => {
    const wanted = event.target.closest?.("[data-export]")?.dataset.export;
    if (wanted) saveExport(explorer, wanted);
    if (event.target.closest?.("[data-do=theme]")) switchTheme();
    // The tab is marked as open after this event.
    if (event.target.closest?.("[role=tab], [role=option], [role=menuitem], .overflow-menu")) setTimeout(() => explorer.publish(), 50);
  });
  restoreTheme();
}

function paneButtons(pane, title) {
  const button = (path, label, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "sc-icon", title: label });
    made.innerHTML = `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="${path}" fill="none" stroke="currentColor" stroke-width="1.6"/></svg>`;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };
  const enlarge = () => (document.fullscreenElement ? document.exitFullscreen() : pane.figure.requestFullscreen());
  const keep = async () => pane.scene.bitmap && save(`${title.toLowerCase().replace(/[^a-z]+/g, "-")}.png`, await pane.render(1024).convertToBlob({ type: "image/png" }));
  return [button(ENLARGE, `Full screen: ${title}`, enlarge), button(SAVE, `Save as PNG: ${title}`, keep)];
}

async function saveExport(explorer, wanted) {
  const { pictures: shown, panes } = explorer;
  if (!shown.source || !shown.target) return explorer.say("There is nothing to export yet: both pictures are needed.", "warn");
  const found = explorer.records();
  const texts = { "matches.json": jsonText(explorer.about(), found), "matches.csv": csvText(found) };
  const titled = Object.entries(panes).map(([name, pane]) => [TITLES[name], pane]);
  try {
    if (wanted === "json") save("matches.json", texts["matches.json"], "application/json");
    if (wanted === "csv") save("matches.csv", texts["matches.csv"], "text/csv");
    if (wanted === "png") save(...(await pictures(titled))[0]);
    if (wanted === "zip") save("spherecorr.zip", await archive(Object.entries(texts), await pictures(titled)));
  } catch (error) {
    explorer.say(`The export failed: ${error.message}.`, "warn");
  }
}

function switchTheme() {
  const dark = document.body.classList.toggle("dark");
  try {
    localStorage.setItem(THEME_KEPT, dark ? "dark" : "light");
  } catch {
    // A browser without storage forgets.
  }
}

function restoreTheme() {
  try {
    const kept = localStorage.getItem(THEME_KEPT);
    if (kept) document.body.classList.toggle("dark", kept === "dark");
  } catch {
    // As above.
  }
}
