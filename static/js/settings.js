// A choice of look shows at once: <input data-preview="theme" value="dark"> is data-theme on <html>.
// It lasts when it is saved; leaving the page without that takes it back.

document.addEventListener("change", ({ target }) => {
  const name = target.dataset?.preview;
  if (name) document.documentElement.dataset[name] = target.value;
});

// A form that came back says why, first of all.
document.querySelector(".err-summary[data-focus]")?.focus();
