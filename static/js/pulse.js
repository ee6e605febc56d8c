// A slow beat for what must be asked for: st:pulse on <body> while somebody looks.
const EVERY = 2_000;

setInterval(() => {
  if (!document.hidden) document.body.dispatchEvent(new CustomEvent("st:pulse"));
}, EVERY);
