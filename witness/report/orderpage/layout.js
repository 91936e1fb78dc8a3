"use strict";
// Places the boxes of an order graph in rows, the outermost locks above, and leads its arrows between the boxes.
// Knows neither the page nor the findings.
//
// An arrow over several rows gets a lane through each row between, which keeps its place among the boxes of that row, so
// that no arrow runs through a box. After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical
// system structures" (1981); rows are filled up to a width as Coffman and Graham's are.

const GAP = 26, LANE = 9, ROW = 92, HEIGHT = 30, MARGIN = 30;
const LANES_A_ROW = 24; // beyond these arrows run behind boxes rather than make the drawing ever wider

// nodes: [{id, width}] in canonical order; links: [{a, b, against, marked}], ends are ids, marked ones get lanes first;
// widest: what the boxes of a row may take together, in pixels.
// Returns {boxes: Map of id to {x, y, width, height}, arrows: [{path, head}], one a link, width, height}; x and y are a
// box's middle, in pixels; head is the arrow's three corners.
function layOut(nodes, links, widest) {
  const row = rowsOf(nodes, links, widest);
  const boxes = new Map(nodes.map(node => [node.id, { width: node.width, row: row.get(node.id), box: true, up: [], down: [] }]));
  const rows = [];
  for (const box of boxes.values()) (rows[box.row] ??= []).push(box);
  const chains = laned(links, boxes, rows);
  arrange(rows);
  settle(rows);
  const all = rows.flat(), left = Math.min(...all.map(one => one.x - one.width / 2));
  for (const one of all) { one.x += MARGIN - left; one.y = 40 + one.row * ROW; one.height = HEIGHT; }
  return {
    boxes, arrows: arrows(chains),
    width: Math.max(120, ...all.map(one => one.x + one.width / 2)) + MARGIN,
    height: 80 + Math.max(0, rows.length - 1) * ROW,
  };
}

// The row of each node: below everything that is held around it, and further down where a row is full.
function rowsOf(nodes, links, widest) {
  const above = new Map(nodes.map(node => [node.id, []])), row = new Map(), used = [];
  for (const link of links) if (!link.against) above.get(link.b).push(link.a);
  for (const node of nodes) { // canonical order: everything above a node has its row already
    let at = Math.max(0, ...above.get(node.id).map(one => row.get(one) + 1));
    while (used[at] > 0 && used[at] + node.width > widest) at++;
    row.set(node.id, at);
    used[at] = (used[at] ?? 0) + node.width + GAP;
  }
  return row;
}

// What each arrow passes, from its first box to its second; lanes are put into the rows.
function laned(links, boxes, rows) {
  let left = LANES_A_ROW * rows.length;
  const chains = new Array(links.length);
  const order = links.map((_, number) => number).sort((p, q) => Boolean(links[q].marked) - Boolean(links[p].marked) || p - q);
  for (const number of order) {
    const from = boxes.get(links[number].a), to = boxes.get(links[number].b);
    const [top, bottom] = from.row <= to.row ? [from, to] : [to, from];
    const between = bottom.row - top.row - 1, chain = [top];
    if (between > 0 && between <= left) {
      left -= between;
      for (let at = top.row + 1; at < bottom.row; at++) {
        const lane = { width: LANE, row: at, box: false, up: [], down: [] };
        rows[at].push(lane);
        chain.push(lane);
      }
    }
    chain.push(bottom);
    if (top.row !== bottom.row)
      for (let at = 1; at < chain.length; at++) { chain[at - 1].down.push(chain[at]); chain[at].up.push(chain[at - 1]); }
    chains[number] = top === from ? chain : chain.reverse();
  }
  return chains;
}

// Sorts each row by where its neighbours stand, so that few arrows cross.
function arrange(rows) {
  const number = row => row.forEach((one, at) => { one.place = (at + 0.5) / row.length; });
  rows.forEach(number);
  for (let sweep = 0; sweep < 8; sweep++) {
    for (const row of sweep % 2 ? [...rows].reverse() : rows) {
      for (const one of row) {
        const ends = sweep % 2 ? one.down : one.up;
        one.middle = ends.length ? ends.reduce((sum, end) => sum + end.place, 0) / ends.length : one.place;
      }
      row.sort((p, q) => p.middle - q.middle);
      number(row);
    }
  }
}

// Moves everything towards its neighbours, in the order of the rows and with room between.
function settle(rows) {
  const apart = (p, q) => (p.width + q.width) / 2 + (p.box && q.box ? GAP : p.box || q.box ? 8 : 0);
  for (const row of rows) {
    row.forEach((one, at) => { one.x = at ? row[at - 1].x + apart(row[at - 1], one) : 0; });
    const middle = row.length ? (row[0].x + row.at(-1).x) / 2 : 0;
    for (const one of row) one.x -= middle;
  }
  // Nothing leaves the width of the widest row.
  const half = Math.max(0, ...rows.map(row => row.at(-1).x));
  for (const row of rows) {
    row.forEach((one, at) => { one.least = at ? row[at - 1].least + apart(row[at - 1], one) : -half; });
    row.forEach((_, back) => {
      const at = row.length - 1 - back;
      row[at].most = back ? row[at + 1].most - apart(row[at], row[at + 1]) : half;
    });
  }
  for (let sweep = 0; sweep < 24; sweep++) {
    for (const row of sweep % 2 ? [...rows].reverse() : rows) {
      const wish = row.map(one => {
        const ends = [...one.up, ...one.down];
        return ends.length ? ends.reduce((sum, end) => sum + end.x, 0) / ends.length : one.x;
      });
      // Pushed to the right and pushed to the left both keep their distances, and so does what lies halfway.
      const right = [...wish], left = [...wish];
      for (let at = 1; at < row.length; at++) right[at] = Math.max(wish[at], right[at - 1] + apart(row[at - 1], row[at]));
      for (let at = row.length - 2; at >= 0; at--) left[at] = Math.min(wish[at], left[at + 1] - apart(row[at], row[at + 1]));
      row.forEach((one, at) => { one.x = Math.min(one.most, Math.max(one.least, (right[at] + left[at]) / 2)); });
    }
  }
}

// The curves. Arrows share the upper and the lower side of a box evenly, in the order of where they come from.
function arrows(chains) {
  const sides = new Map();
  const ends = chains.map((chain, number) => [[chain[0], chain[1]], [chain.at(-1), chain.at(-2)]].map(([box, next]) => {
    const below = next.row > box.row, end = { toward: next.x, number, box, y: box.y + (below ? 1 : -1) * box.height / 2 };
    if (!sides.has(box)) sides.set(box, { above: [], below: [] });
    sides.get(box)[below ? "below" : "above"].push(end);
    return end;
  }));
  for (const side of [...sides.values()].flatMap(({ above, below }) => [above, below])) {
    side.sort((p, q) => p.toward - q.toward || p.number - q.number);
    side.forEach((end, at) => { end.x = end.box.x + ((at + 1) / (side.length + 1) - 0.5) * end.box.width * 0.9; });
  }
  return chains.map((chain, number) => arrow(...ends[number], chain.slice(1, -1)));
}

function arrow(from, to, lanes) {
  const size = 8, level = from.box.row === to.box.row, down = to.box.row > from.box.row ? 1 : -1;
  const at = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const base = level ? to.y - size : to.y - down * size;
  let path = `M${at(from.x, from.y)}`, x = from.x, y = from.y;
  const bend = (x2, y2) => {
    const half = (y2 - y) / 2;
    path += level ? ` C${at(x, y - 38)} ${at(x2, y2 - 30)} ${at(x2, y2)}` : ` C${at(x, y + half)} ${at(x2, y2 - half)} ${at(x2, y2)}`;
    x = x2; y = y2;
  };
  for (const lane of lanes) {
    bend(lane.x, lane.y - down * lane.height / 2);
    y = lane.y + down * lane.height / 2;
    path += ` L${at(x, y)}`;
  }
  bend(to.x, base);
  const corner = dx => `${(to.x + dx).toFixed(1)},${base.toFixed(1)}`;
  return { path, head: `${to.x.toFixed(1)},${to.y.toFixed(1)} ${corner(-4)} ${corner(4)}` };
}
