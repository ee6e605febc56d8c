// How a curve of an account goes on between two fetches: a message a second is no point a second.
const SHORTEST = 60; // seconds between two points
const POINTS = 300; // about what the server sends of a period

// The distance of the points that follow these, in seconds.
export function stepOf(points) {
  return Math.max(SHORTEST, (points.at(-1).time - points[0].time) / POINTS);
}

// Put the newest value at the end: in place of the last point, or a step after it.
export function goOn(points, point, step) {
  const last = points.at(-1);
  if (point.time - last.time < step) points[points.length - 1] = { ...point, time: last.time };
  else points.push(point);
  return points.at(-1);
}
