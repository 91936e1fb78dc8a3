// The page: findings on the left, the graph in the middle, both stacks on the right. Sets text only, never markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const MOST_CLASSES = 120, MOST_LINKS = 1200, MOST_FINDINGS = 500;
  const { classes, links, findings, sides, frames } = data;
  const by = id => document.getElementById(id);
  const svg = by("graph");
  const state = { text: "", pid: "", view: "near", finding: null, link: null, one: null, zoom: 1 };

  const make = (tag, attributes = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };
  const draw = (tag, attributes, ...inside) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };

  // What findings say about links and classes; they come with the worst first, so the first word stands.
  const onLink = new Map(), onClass = new Set();
  findings.forEach((finding, number) => {
    finding.classes.forEach(one => onClass.add(one));
    finding.links.forEach(link => onLink.has(link) || onLink.set(link, number));
  });
  const dress = link => {
    if (!onLink.has(link)) return "";
    return findings[onLink.get(link)].level === "unlikely" ? " unlikely" : " feared";
  };
  const near = classes.map(() => []);
  links.forEach((link, number) => { near[link.a].push(number); near[link.b].push(number); });
  const made = link => link.sides.some(side => String(sides[side].pid) === state.pid);
  const wanted = link => !state.pid || made(links[link]);

  // ---- which classes are drawn -----------------------------------------------------------------------------------
  function grow(start, most) {
    const chosen = new Set(start);
    for (const one of start) {
      if (chosen.size >= most) break;
      for (const number of [...near[one]].sort((p, q) => links[q].n - links[p].n)) {
        if (chosen.size >= most) break;
        if (wanted(number)) { chosen.add(links[number].a); chosen.add(links[number].b); }
      }
    }
    return chosen;
  }
  function chosenClasses() {
    if (state.text) {
      const found = classes.flatMap((one, id) => one.name.toLowerCase().includes(state.text) ? [id] : []);
      return { set: grow(found.slice(0, MOST_CLASSES), Math.min(MOST_CLASSES, Math.max(40, found.length))), found: found.length };
    }
    if (state.finding !== null && findings[state.finding].classes.length && state.view === "near" && classes.length > data.start.length)
      return { set: grow(findings[state.finding].classes, 30) };
    if (state.view === "all") return { set: new Set(classes.map((_, id) => id).slice(0, MOST_CLASSES)) };
    return { set: new Set(data.start) };
  }

  // ---- the graph -------------------------------------------------------------------------------------------------
  function show() {
    const { set, found } = chosenClasses();
    let drawn = [];
    for (const one of set) for (const number of near[one]) {
      const link = links[number];
      if (link.a === one && set.has(link.b) && wanted(number)) drawn.push(number);
    }
    const all = drawn.length;
    if (all > MOST_LINKS)
      drawn = drawn.sort((p, q) => onLink.has(q) - onLink.has(p) || links[q].n - links[p].n).slice(0, MOST_LINKS);
    if (state.pid) {
      const touched = new Set(drawn.flatMap(number => [links[number].a, links[number].b]));
      for (const one of [...set]) if (!touched.has(one)) set.delete(one);
    }
    drawn.sort((p, q) => onLink.has(p) - onLink.has(q) || links[p].a - links[q].a || links[p].b - links[q].b);
    const nodes = [...set].sort((p, q) => p - q).map(id => ({ id, width: Math.max(64, label(id).length * 7 + 22) }));
    const led = drawn.map(number => ({ ...links[number], marked: onLink.has(number) }));
    const { boxes, arrows, width, height } = layOut(nodes, led, Math.max(420, by("scroll").clientWidth * 0.8));
    const focused = svg.contains(document.activeElement) ? { ...document.activeElement.dataset } : {};
    svg.replaceChildren(...drawn.map((number, at) => edge(number, arrows[at])), ...nodes.map(node => box(node, boxes.get(node.id))));
    for (const [name, value] of Object.entries(focused)) svg.querySelector(`[data-${name}="${value}"]`)?.focus();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    state.size = { width, height };
    resize();
    const whole = classes.length === set.size && links.length === drawn.length;
    by("shown").textContent = !classes.length ? "No lock was taken: there is nothing to draw."
      : !set.size ? (state.text ? `No class is called “${state.text}”.` : "No order of this process is drawn.")
      : whole ? `All: ${counted(classes.length, "class", "classes")}, ${counted(links.length, "order", "orders")}.`
        + (links.length ? "" : " No lock was taken while another was held.")
      : `${set.size} of ${counted(classes.length, "class", "classes")}, ${drawn.length} of ${counted(links.length, "order", "orders")}`
        + (found !== undefined ? `; ${found} ${found === 1 ? "class matches" : "classes match"}` : "") + ". Filter by class to see others.";
    mark();
  }
  const counted = (count, one, several) => `${count} ${count === 1 ? one : several}`;
  const label = id => classes[id].name.length > 30 ? classes[id].name.slice(0, 14) + "…" + classes[id].name.slice(-15) : classes[id].name;

  function edge(number, { path, head }) {
    const link = links[number];
    const finding = onLink.has(number) ? `, part of a finding: ${findings[onLink.get(number)].level}` : "";
    const words = `${classes[link.a].name} then ${classes[link.b].name}, ${counted(link.n, "time", "times")}${link.refused ? ", refused" : ""}${finding}`;
    return draw("g", { class: "edge" + dress(number), tabindex: 0, role: "button", "aria-label": words, "data-link": number },
      draw("title", {}, words), draw("path", { d: path }), draw("polygon", { points: head }), draw("path", { d: path, class: "hit" }));
  }
  function box(node, at) {
    const { name, kind } = classes[node.id];
    return draw("g", { class: "node" + (onClass.has(node.id) ? " found" : ""), tabindex: 0, role: "button", "aria-label": `${name}, ${kind}`,
      "data-class": node.id },
      draw("title", {}, `${name} (${kind})`),
      draw("rect", { x: at.x - at.width / 2, y: at.y - at.height / 2, width: at.width, height: at.height, rx: 6 }),
      draw("text", { x: at.x, y: at.y + 4, "text-anchor": "middle" }, label(node.id)));
  }
  function resize() {
    const room = by("scroll").clientWidth - 4;
    const fit = Math.min(1, Math.max(0.75, room / state.size.width));
    svg.setAttribute("width", Math.round(state.size.width * fit * state.zoom));
    svg.setAttribute("height", Math.round(state.size.height * fit * state.zoom));
  }
  function mark() {
    for (const one of svg.querySelectorAll(".chosen")) one.classList.remove("chosen");
    const ends = state.link !== null ? [links[state.link].a, links[state.link].b]
      : state.one !== null ? [state.one] : state.finding !== null ? findings[state.finding].classes : [];
    for (const one of ends) svg.querySelector(`[data-class="${one}"]`)?.classList.add("chosen");
    const chosen = state.one !== null ? [] : state.link !== null ? [state.link] : state.finding !== null ? findings[state.finding].links : [];
    for (const number of chosen) svg.querySelector(`[data-link="${number}"]`)?.classList.add("chosen");
    for (const button of by("findings").querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(Number(button.dataset.finding) === state.finding));
  }

  // ---- details ---------------------------------------------------------------------------------------------------
  function stackOf(number, heading) {
    const side = sides[number];
    const lines = side.stack.length ? side.stack.map(frame => make("li", {}, frames[frame])) : [make("li", {}, "no stack was recorded")];
    return [make("h3", {}, heading), make("p", { class: "note" }, `${side.mode}, by ${side.who}`),
      make("ol", { class: "stack", start: 0 }, ...lines)];
  }
  function stacksOf(link) {
    const held = classes[link.a].name, taken = classes[link.b].name;
    return [...stackOf(link.sides[0], `${held} taken`), ...stackOf(link.sides[1], `${taken} ${link.refused ? "asked for" : "taken"}, with ${held} held`)];
  }
  function facts(rows) {
    return make("dl", {}, ...rows.filter(row => row[1]).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  }
  function showLink(number) {
    state.link = number;
    state.one = null;
    const link = links[number], told = onLink.has(number) ? findings[onLink.get(number)] : null;
    const others = told ? told.links.filter(other => other !== number) : [];
    by("detail").replaceChildren(
      make("h3", { id: "chosen" }, `${classes[link.a].name} → ${classes[link.b].name}`),
      ...(told ? [make("p", { class: "badge " + told.level }, `${told.level}: ${told.title}`)] : []),
      facts([["seen", counted(link.n, "time", "times")], ["order", link.refused ? "refused" : "established"], ["always under", link.gates.join(", ")]]),
      ...stacksOf(link),
      ...others.flatMap(other => [
        make("h3", {}, `Against it: ${classes[links[other].a].name} → ${classes[links[other].b].name}`), ...stacksOf(links[other])]));
    by("details").scrollTop = 0;
    mark();
  }
  function showFinding(number) {
    const finding = findings[number];
    state.finding = number;
    state.link = state.one = null;
    const cycle = finding.links.flatMap(link => [
      make("h3", {}, `${classes[links[link].a].name} → ${classes[links[link].b].name}`), ...stacksOf(links[link])]);
    const alone = finding.links.length ? [] : finding.sides.flatMap((side, at) => stackOf(side, at ? "and here" : "here"));
    by("detail").replaceChildren(
      make("h3", { id: "chosen" }, finding.title),
      facts([["rule", finding.rule], ["level", finding.level], ["why", finding.why], ["state", finding.state]]),
      make("details", {}, make("summary", {}, "As text"), make("pre", {}, finding.text)),
      ...cycle, ...alone);
    by("details").scrollTop = 0;
    show();
  }
  function showClass(id) {
    state.link = null;
    state.one = id;
    const one = classes[id];
    const list = (title, numbers) => numbers.length ? [make("h3", {}, title), make("p", {}, numbers.map(name => classes[name].name).join(", "))] : [];
    by("detail").replaceChildren(
      make("h3", { id: "chosen" }, one.name),
      facts([["kind", one.kind], ["made at", one.site], ["taken", counted(one.acquires, "time", "times")], ["contended", counted(one.contended, "time", "times")]]),
      ...list("Taken under", near[id].filter(n => links[n].b === id).map(n => links[n].a)),
      ...list("Held around", near[id].filter(n => links[n].a === id).map(n => links[n].b)));
    mark();
  }
  const first = by("detail").firstElementChild;
  function clear() {
    state.finding = state.link = state.one = null;
    by("detail").replaceChildren(first);
    show();
  }

  // ---- what the reader does --------------------------------------------------------------------------------------
  const act = target => {
    const at = target.closest?.("[data-link], [data-class]");
    if (!at) return false;
    if (at.dataset.link !== undefined) showLink(Number(at.dataset.link));
    else showClass(Number(at.dataset.class));
    return true;
  };
  svg.addEventListener("click", event => act(event.target));
  svg.addEventListener("keydown", event => {
    if ((event.key === "Enter" || event.key === " ") && act(event.target)) event.preventDefault();
  });
  document.addEventListener("keydown", event => { if (event.key === "Escape") clear(); });
  by("by-class").addEventListener("input", event => { state.text = event.target.value.trim().toLowerCase(); show(); });
  by("by-process").addEventListener("change", event => { state.pid = event.target.value; list(); show(); });
  by("view").addEventListener("change", event => { state.view = event.target.value; show(); });
  by("filters").addEventListener("submit", event => event.preventDefault());
  by("smaller").addEventListener("click", () => { state.zoom = Math.max(0.3, state.zoom / 1.25); resize(); });
  by("larger").addEventListener("click", () => { state.zoom = Math.min(4, state.zoom * 1.25); resize(); });
  window.addEventListener("resize", resize);

  const processes = new Map(sides.map(side => [side.pid, side.process]));
  for (const [pid, name] of [...processes].sort((p, q) => p[0] - q[0]))
    by("by-process").append(make("option", { value: pid }, `${name} (${pid})`));

  function list() {
    const told = findings.map((_, number) => number)
      .filter(number => !state.pid || findings[number].sides.some(side => String(sides[side].pid) === state.pid));
    by("findings").replaceChildren(...told.slice(0, MOST_FINDINGS).map(number => {
      const finding = findings[number];
      const quiet = finding.state === "new" ? finding.level : "quiet";
      const button = make("button", { type: "button", class: quiet, "data-finding": number, "aria-pressed": "false" },
        finding.title, make("small", {}, `${finding.rule}, ${finding.level}${finding.state === "new" ? "" : ", " + finding.state}`));
      button.addEventListener("click", () => showFinding(number));
      return make("li", {}, button);
    }));
    if (!told.length) by("findings").append(make("li", { class: "note" }, findings.length ? "None with this process." : "Nothing was found."));
  }
  list();
  show();
})();
