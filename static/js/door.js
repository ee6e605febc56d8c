// Log in and register: show what is typed as a password, and count down while the door is shut.

const SECOND = 1_000;

sessionStorage.removeItem("recent"); // what somebody looked at is nobody else's (palette.js)
localStorage.removeItem("paused"); // and so is what they chose for the moment (calm.js)

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-reveal]");
  if (button) reveal(button, button.getAttribute("aria-pressed") !== "true");
});

function reveal(button, open) {
  const field = document.getElementById(button.dataset.reveal);
  if (!field) return;
  field.type = open ? "text" : "password";
  button.setAttribute("aria-pressed", String(open));
}

// On the way in: a check that is asked now would meet the token of the session that has just begun.
let leaving = false;
document.addEventListener("submit", () => { leaving = true; });
addEventListener("pageshow", () => { leaving = false; });
document.addEventListener("htmx:beforeRequest", (event) => { if (leaving) event.preventDefault(); });

// Sent as a password, or a browser may keep it among the ordinary words of its fields.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("[data-reveal]")) reveal(button, false);
});

// The same words as the filter `wait` of speedtrade/templatetags/ui.py.
function words(seconds) {
  const [size, unit] = seconds >= 60 ? [60, "minute"] : [1, "second"];
  const count = Math.ceil(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

for (const element of document.querySelectorAll("[data-countdown]")) {
  const end = Date.now() + Number(element.dataset.countdown) * SECOND;
  const timer = setInterval(() => {
    const left = Math.ceil((end - Date.now()) / SECOND);
    const text = left > 0 ? `Try again in ${words(left)}.` : "You can try again now.";
    if (element.textContent !== text) element.textContent = text;
    if (left <= 0) clearInterval(timer);
  }, SECOND);
}
