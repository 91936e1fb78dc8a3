"use strict";
// Places the boxes of an order graph in layers, the outermost locks above. Knows neither the page nor the findings.

// nodes: [{id, width}] in canonical order; links: [{a, b, against}], ends are ids.
// Returns {boxes: Map of id to {x, y, width, layer}, width, height}; x and y are a box's middle, in pixels.
function layOut(nodes, links) {
  const GAP = 26, ROW = 92, HEIGHT = 30, WIDEST = 1050;
  const layer = new Map(nodes.map(node => [node.id, 0]));
  const above = new Map(nodes.map(node => [node.id, []])), below = new Map(nodes.map(node => [node.id, []]));
  for (const link of links) {
    if (link.against) continue;
    above.get(link.b).push(link.a);
    below.get(link.a).push(link.b);
  }
  for (const node of nodes) // canonical order: everything above a node has its layer already
    for (const one of above.get(node.id)) layer.set(node.id, Math.max(layer.get(node.id), layer.get(one) + 1));
  let rows = [];
  for (const node of nodes) (rows[layer.get(node.id)] ??= []).push(node);
  const place = new Map();
  const number = row => row.forEach((node, at) => place.set(node.id, (at + 0.5) / row.length));
  rows.forEach(number);
  for (let sweep = 0; sweep < 6; sweep++) {
    const near = sweep % 2 ? below : above;
    for (const row of sweep % 2 ? [...rows].reverse() : rows) {
      const middle = new Map(row.map(node => {
        const ends = near.get(node.id);
        const sum = ends.reduce((total, end) => total + place.get(end), 0);
        return [node.id, ends.length ? sum / ends.length : place.get(node.id)];
      }));
      row.sort((p, q) => middle.get(p.id) - middle.get(q.id));
      number(row);
    }
  }
  rows = rows.flatMap(row => wrapped(row, WIDEST, GAP));
  const wide = row => row.reduce((sum, node) => sum + node.width + GAP, -GAP);
  const width = Math.max(120, ...rows.map(wide)) + 140;
  const boxes = new Map();
  rows.forEach((row, at) => {
    let x = (width - wide(row)) / 2;
    for (const node of row) {
      boxes.set(node.id, { x: x + node.width / 2, y: 40 + at * ROW, width: node.width, height: HEIGHT, row: at });
      x += node.width + GAP;
    }
  });
  return { boxes, width, height: 80 + Math.max(0, rows.length - 1) * ROW };
}

// A row that is too wide goes on in further rows.
function wrapped(row, widest, gap) {
  const rows = [[]];
  let used = 0;
  for (const node of row) {
    if (used + node.width > widest && rows.at(-1).length) { rows.push([]); used = 0; }
    rows.at(-1).push(node);
    used += node.width + gap;
  }
  return rows;
}

// The curve of one link between two boxes: {path, head}, head being the arrow's three corners.
function curve(from, to) {
  const down = to.row > from.row, level = to.row === from.row;
  const start = { x: from.x, y: from.y + (down ? 1 : -1) * from.height / 2 };
  const end = { x: to.x, y: to.y + (down ? -1 : 1) * to.height / 2 };
  if (level) { start.y = from.y - from.height / 2; end.y = to.y - to.height / 2; }
  // Arrows over several rows, and those against the order, swing out so that they do not run through boxes.
  const span = Math.abs(to.row - from.row);
  const swing = level ? 0 : (down ? (span > 1 ? -1 : 0) : 1) * Math.min(150, 34 + 16 * span);
  if (!down && !level) { start.x += from.width / 4; end.x += to.width / 4; }
  const reach = level ? 38 : Math.max(26, Math.abs(end.y - start.y) / 2.4);
  const one = { x: start.x + swing, y: start.y + (down ? reach : -reach) };
  const two = { x: end.x + swing, y: level ? end.y - reach : end.y + (down ? -reach : reach) };
  const length = Math.hypot(end.x - two.x, end.y - two.y) || 1;
  const ux = (end.x - two.x) / length, uy = (end.y - two.y) / length, size = 8;
  const base = { x: end.x - ux * size, y: end.y - uy * size };
  const corner = side => `${(base.x - uy * side * 4).toFixed(1)},${(base.y + ux * side * 4).toFixed(1)}`;
  const at = p => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`;
  return {
    path: `M${at(start)} C${at(one)} ${at(two)} ${at(base)}`,
    head: `${end.x.toFixed(1)},${end.y.toFixed(1)} ${corner(1)} ${corner(-1)}`,
  };
}
