// The colours of the tokens as a canvas needs them; light-dark() is resolved by the browser.

export function colors() {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["ink", "ink-2", "line", "gain", "loss", "link", "warn", "bg"];
  const found = Object.fromEntries(names.map((name) => [name, read(name)]));
  probe.remove();
  return found;
}

// A see-through version of an "rgb(r, g, b)".
export const faint = (color, alpha) => color.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);

export function onThemeChange(callback) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
  new MutationObserver(callback).observe(document.documentElement, { attributeFilter: ["data-theme", "data-palette"] });
}
