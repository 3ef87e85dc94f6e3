// Boxes are [x0, y0, x1, y1] in image pixels, half-open. Every function returns a new box and stays inside the image.

export const MIN_SIDE = 1;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The box between two points, on whole pixels. */
export function spanBox(first, second, size) {
  const xs = [first.x, second.x].map((x) => clamp(Math.round(x), 0, size.width)).sort((a, b) => a - b);
  const ys = [first.y, second.y].map((y) => clamp(Math.round(y), 0, size.height)).sort((a, b) => a - b);
  return [xs[0], ys[0], xs[1], ys[1]];
}

/** The box moved by whole pixels; its size, fractions included, stays. */
export function moveBox([x0, y0, x1, y1], dx, dy, size) {
  const right = clamp(Math.round(dx), -x0, size.width - x1);
  const down = clamp(Math.round(dy), -y0, size.height - y1);
  return [x0 + right, y0 + down, x1 + right, y1 + down];
}

/** The edges named by a handle ("nw", "e" ...) moved by dx, dy; edges do not pass each other. */
export function resizeBox([x0, y0, x1, y1], handle, dx, dy, size) {
  const moved = (edge, by, low, high) => clamp(Math.round(edge + by), low, high);
  return [
    handle.includes("w") ? moved(x0, dx, 0, Math.max(x1 - MIN_SIDE, 0)) : x0,
    handle.includes("n") ? moved(y0, dy, 0, Math.max(y1 - MIN_SIDE, 0)) : y0,
    handle.includes("e") ? moved(x1, dx, Math.min(x0 + MIN_SIDE, size.width), size.width) : x1,
    handle.includes("s") ? moved(y1, dy, Math.min(y0 + MIN_SIDE, size.height), size.height) : y1,
  ];
}

export const isBox = ([x0, y0, x1, y1]) => x1 - x0 >= MIN_SIDE && y1 - y0 >= MIN_SIDE;

export const sameBoxes = (first, second) => JSON.stringify(first) === JSON.stringify(second);

/** The eight handles of a box as [name, x, y]. */
export function handlesOf([x0, y0, x1, y1]) {
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return [
    ["nw", x0, y0], ["n", x, y0], ["ne", x1, y0], ["e", x1, y],
    ["se", x1, y1], ["s", x, y1], ["sw", x0, y1], ["w", x0, y],
  ];
}

/**
 * What lies under a point: {index, handle}, handle "" for a box's inside, or null.
 * The selected box comes first, then the smaller ones, so that a box inside another can be reached.
 */
export function boxAt(boxes, selected, point, tolerance) {
  const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
  const order = boxes.map((_, index) => index).sort((a, b) => area(boxes[a]) - area(boxes[b]));
  if (selected >= 0) order.unshift(selected);
  for (const index of order) {
    const handle = handleAt(boxes[index], point, tolerance);
    if (handle !== null) return { index, handle };
  }
  return null;
}

function handleAt([x0, y0, x1, y1], { x, y }, tolerance) {
  if (x < x0 - tolerance || x > x1 + tolerance || y < y0 - tolerance || y > y1 + tolerance) return null;
  // Inwards an edge reaches a quarter of the box at most: a small box can still be moved.
  const [reachX, reachY] = [Math.min(tolerance, (x1 - x0) / 4), Math.min(tolerance, (y1 - y0) / 4)];
  const vertical = y < y0 + reachY ? "n" : y > y1 - reachY ? "s" : "";
  return vertical + (x < x0 + reachX ? "w" : x > x1 - reachX ? "e" : "");
}
