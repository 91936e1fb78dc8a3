"use strict";
// The coverage page: rows, filters, and the findings of what is chosen. Text is set as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const byName = document.getElementById("by-name");
const byState = document.getElementById("by-state");
const ENDS = [[2, "success", "went on"], [3, "clean", "clean error"], [4, "killed", "killed"], [5, "finding", "findings"]];
let chosen = null;

function make(tag, text, attributes) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  return element;
}

function said(count) { return count ? count.toLocaleString("en") : "–"; }

function parts(counts) {
  const whole = ENDS.reduce((sum, [at]) => sum + counts[at], 0);
  const words = ENDS.filter(([at]) => counts[at]).map(([at, , word]) => `${said(counts[at])} ${word}`).join(", ");
  const bar = make("div", undefined, { class: "parts", role: "img", title: words || "nothing", "aria-label": words || "nothing" });
  for (const [at, kind] of ENDS) {
    if (counts[at]) bar.append(make("i", undefined, { class: kind, style: `width:${(100 * counts[at]) / whole}%` }));
  }
  return bar;
}

function pointRow(point) {
  const open = point.state === "never reached" || point.state === "reached";
  const row = make("tr", undefined, { tabindex: "0", class: open ? "open" : point.state, "aria-selected": "false" });
  row.append(make("td", point.name), make("td", point.error));
  row.append(make("td", said(point.counts[0]), { class: "number" }), make("td", said(point.counts[1]), { class: "number" }));
  const came = make("td");
  came.append(parts(point.counts));
  row.append(came, make("td", point.why ? `${point.state}: ${point.why}` : point.state, { class: "state" }));
  const choose = () => { chosen = chosen === point ? null : point; draw(); };
  row.addEventListener("click", choose);
  row.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); }
  });
  return row;
}

function drawPoints(part) {
  const state = byState.value;
  let count = 0;
  for (const [point, row] of rows) {
    const open = point.state === "never reached" || point.state === "reached";
    const kept = !state || (state === "open" ? open : point.state === state);
    row.hidden = !(kept && point.name.toLowerCase().includes(part) || (kept && part && inScenario(point, part)));
    row.setAttribute("aria-selected", String(point === chosen));
    count += row.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = `${count} of ${data.points.length} points`;
}

function inScenario(point, part) {
  return data.outcomes.some((one) => one.points.includes(point.name) && one.scenario.toLowerCase().includes(part));
}

function drawCells(part) {
  const kinds = [...new Set(data.cells.map((cell) => cell.kind))];
  const head = make("tr");
  head.append(make("th", "scenario", { scope: "col" }), ...kinds.map((kind) => make("th", kind, { scope: "col", class: "number" })));
  document.querySelector("#cells thead").replaceChildren(head);
  const names = [...new Set(data.cells.map((cell) => cell.scenario))].filter((name) => name.toLowerCase().includes(part));
  document.querySelector("#cells tbody").replaceChildren(...names.map((name) => {
    const row = make("tr");
    row.append(make("th", name, { scope: "row" }));
    for (const kind of kinds) {
      const cell = data.cells.find((one) => one.scenario === name && one.kind === kind);
      const found = cell && (cell.findings || cell.empty);
      const text = !cell ? "" : cell.empty ? "nothing injected" : said(cell.trials) + (cell.exhausted ? "" : "+")
        + (cell.findings ? `, ${cell.findings} found` : "");
      row.append(make("td", text, { class: found ? "number red" : "number" }));
    }
    return row;
  }));
}

function card(outcome, finding) {
  const article = make("article");
  article.append(make("h3", `${finding.kind} in ${outcome.scenario}`), make("p", finding.detail));
  for (const line of outcome.injected) article.append(make("p", line, { class: "note" }));
  article.append(make("p", `ended with: ${outcome.result}`, { class: "note" }));
  if (finding.stack.length) {
    const stack = make("ol", undefined, { class: "stack" });
    stack.append(...finding.stack.map((frame) => make("li", frame)));
    article.append(stack);
  }
  const again = make("div", undefined, { class: "again" });
  const copy = make("button", "Copy", { type: "button", "aria-label": `Copy the command: ${outcome.again}` });
  copy.addEventListener("click", () => {
    const done = () => { copy.textContent = "Copied"; };
    if (navigator.clipboard) navigator.clipboard.writeText(outcome.again).then(done, () => {});
  });
  again.append(make("code", outcome.again), copy);
  article.append(again);
  return article;
}

function drawFound(part) {
  const cards = [];
  for (const outcome of data.outcomes) {
    if (chosen && !outcome.points.includes(chosen.name)) continue;
    const named = outcome.scenario.toLowerCase().includes(part) || outcome.points.some((name) => name.toLowerCase().includes(part));
    if (named) for (const finding of outcome.findings) cards.push(card(outcome, finding));
  }
  const where = chosen ? ` at ${chosen.name}` : "";
  document.getElementById("found-head").textContent = `Findings${where}`;
  const none = make("p", chosen && !chosen.counts[1] ? `No fault was injected${where}.` : `Nothing was found${where}.`, { class: "note" });
  document.getElementById("found").replaceChildren(...(cards.length ? cards : [none]));
}

function draw() {
  const part = byName.value.trim().toLowerCase();
  drawPoints(part);
  drawCells(part);
  drawFound(part);
}

const rows = new Map(data.points.map((point) => [point, pointRow(point)]));
document.querySelector("#points tbody").append(...rows.values());
byName.addEventListener("input", draw);
byState.addEventListener("change", draw);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("clear").addEventListener("click", () => { byName.value = ""; byState.value = ""; chosen = null; draw(); });
draw();
