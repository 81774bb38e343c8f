// The page's address holds what it shows, so that a link or a reload brings it back: menus and pictures for the server,
// alpha and points for this script.

// {alpha, points} of the address; undefined where it does not say.
export function readAddress() {
  const asked = new URLSearchParams(location.search);
  const alpha = asked.has("alpha") ? Number(asked.get("alpha")) : undefined;
  const points = asked.get("points")?.split("_").filter(Boolean).map((pair) => pair.split(",").map(Number));
  const sound = points?.every((pair) => pair.length === 2 && pair.every(Number.isFinite));
  return { alpha: alpha >= 0 && alpha <= 1 ? alpha : undefined, points: sound ? points : undefined };
}

// about: {backbone, sphere, resolution}; example: its id, if the pictures are an example's; places: of both pictures.
export function writeAddress({ about, example, places, alpha, points }) {
  const asked = new URLSearchParams(location.search);
  for (const name of ["example", "source", "target", "alpha", "points"]) asked.delete(name);
  for (const [name, value] of Object.entries(about)) asked.set(name, value);
  if (example) asked.set("example", example);
  else for (const [role, place] of Object.entries(places)) if (place) asked.set(role, place);
  if (alpha !== null) asked.set("alpha", String(alpha));
  asked.set("points", points.map((point) => point.map((value) => Math.round(value * 10) / 10).join(",")).join("_"));
  const text = asked.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  try {
    history.replaceState(history.state, "", `${location.pathname}?${text}`);
  } catch {
    // A browser that allows so many changes a minute only keeps an older address.
  }
}
