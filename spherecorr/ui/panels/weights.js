// The panel "Weights". The value is {refusal, message, items}: of each item what `Missing` says of it, its key, and its
// progress, null before it was started. Rows stay while their item does, so that a tick and the focus are not lost.
const panel = element.querySelector(".sc-weights");
const say = panel.querySelector(".sc-weights-say");
const none = panel.querySelector(".sc-weights-none");
const rows = new Map(); // key -> {row, item, update}

function make(tag, className, text, attributes = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// 346400000 -> "346 MB".
function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`;
}

// Text in which addresses become links and what stands between backticks becomes code.
function rich(text) {
  return text.split(/(`[^`]+`|https:\/\/[^\s,]+)/).map((part) => {
    if (part.startsWith("`")) return make("code", "", part.slice(1, -1));
    if (!part.startsWith("https:")) return part;
    return make("a", "", part, { href: part, target: "_blank", rel: "noopener noreferrer" });
  });
}

function howFar({ state, done, total, sentence }) {
  const bytes = total ? `${size(done)} of ${size(total)}` : size(done);
  if (state === "waiting") return "Waits until other downloads have ended.";
  if (state === "running") return done ? (done === total ? `${bytes}; being put into place …` : bytes) : "Asking …";
  if (state === "failed") return sentence;
  return done ? `Stopped at ${bytes}. What came is kept.` : "Stopped before anything came.";
}

function build(item) {
  const row = make("li", "sc-weight");
  row.dataset.key = item.key;
  const about = row.appendChild(make("div", "sc-weight-about"));
  const head = about.appendChild(make("p", "sc-weight-title"));
  head.append(make("b", "", item.title));
  if (item.gpu) head.append(" ", make("span", "sc-weight-badge", "GPU recommended"));
  const facts = about.appendChild(make("p", "sc-weight-facts"));
  facts.append([item.bytes ? `About ${size(item.bytes)}` : "Size not known", item.licence].filter(Boolean).join(" · "));
  if (item.page) {
    const where = { href: item.page, target: "_blank", rel: "noopener noreferrer", "aria-label": `Page about ${item.title}` };
    facts.append(" · ", make("a", "", "Page", where));
  }
  if (item.note) about.append(make("p", "sc-weight-facts", item.note));
  if (item.terms) about.append(make("p", "sc-weight-facts", `Terms: ${item.terms}.`));
  if (item.how) {
    about.appendChild(make("p")).append(...rich(`By hand: ${item.how}.`));
    return { row, item, update() {} };
  }

  const doing = row.appendChild(make("div", "sc-weight-do"));
  const label = make("label", "");
  const tick = label.appendChild(make("input", "", "", { type: "checkbox" }));
  label.append(" I accept these terms");
  const bar = make("progress", "", "", { "aria-label": `Download of ${item.title}` });
  const told = make("p", "sc-weight-told");
  const button = make("button", "", "", { type: "button" });
  doing.append(...(item.terms ? [label] : []), bar, told, button);

  let active = false, sent = false, said = "";
  const entry = { row, item, update };
  function enable() {
    button.disabled = sent || (!active && Boolean(item.terms) && !tick.checked);
  }
  tick.addEventListener("change", enable);
  button.addEventListener("click", () => {
    sent = true;
    say.textContent = "";
    enable();
    trigger("submit", { action: active ? "cancel" : "start", key: item.key, accepted: tick.checked });
  });
  function update(progress, allowed) {
    active = ["waiting", "running"].includes(progress?.state);
    sent = false;
    const word = active ? "Cancel" : !progress ? "Download" : progress.done ? "Resume" : "Retry";
    if (button.textContent !== word) button.textContent = word;
    button.setAttribute("aria-label", active ? `Cancel the download of ${item.title}` : `${word} ${item.title}`);
    label.hidden = active || !allowed;
    button.hidden = !allowed;
    bar.hidden = !progress || (progress.state !== "running" && !progress.done);
    bar.max = progress?.total || 1;
    if (progress?.total) bar.value = progress.done;
    else bar.removeAttribute("value"); // how many bytes there will be is not known
    const words = progress ? howFar(progress) : "";
    if (words !== said) told.replaceChildren(...rich((said = words)));
    row.dataset.state = progress?.state || "";
    enable();
  }
  return entry;
}

function draw() {
  const { refusal = "", message = "", items = [] } = props.value || {};
  const arrived = [];
  for (const [key, { row, item }] of rows) {
    if (items.some((other) => other.key === key)) continue;
    if (row.dataset.state === "running") arrived.push(item.title);
    row.remove();
    rows.delete(key);
  }
  const places = { backbone: [], sphere: [] };
  for (const item of items) {
    if (!rows.has(item.key)) rows.set(item.key, build(item));
    const { row, update } = rows.get(item.key);
    update(item.progress, !refusal);
    places[item.kind].push(row);
  }
  for (const [kind, wanted] of Object.entries(places)) {
    const section = panel.querySelector(`[data-kind=${kind}]`), list = section.querySelector("ul");
    section.hidden = !wanted.length;
    // A row that is where it belongs is not moved: moving takes the focus away.
    wanted.forEach((row, i) => list.children[i] === row || list.insertBefore(row, list.children[i] || null));
  }
  none.hidden = items.length > 0;
  const news = arrived.length ? `${arrived.join(", ")}: here now, and in the menu above.` : "";
  const words = message || news || refusal;
  if (words) say.textContent = words; // stays until the next press
  say.hidden = !say.textContent;
  say.classList.toggle("sc-warn", Boolean(message));
}

watch("value", draw);
draw();
