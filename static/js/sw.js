// The service worker of an installed app. It keeps static files and the offline page, nothing else:
// no page of an account, no API answer, no quote is ever stored. `views.service_worker` puts KEEP and
// VERSION in front of it.
/* global KEEP, VERSION */

const CACHE = `speedtrade-${VERSION}`;
const OFFLINE = KEEP[0];
const HASHED = /\.[0-9a-f]{12}\./; // a name that changes with its content

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(KEEP)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => names.filter((name) => name !== CACHE);
  event.waitUntil(
    caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name)))).then(() => self.clients.claim()),
  );
});

async function fresh(request) {
  try {
    const response = await fetch(request);
    if (response.ok) (await caches.open(CACHE)).put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await caches.match(request);
    if (kept) return kept;
    throw error;
  }
}

async function asset(request) {
  const kept = HASHED.test(request.url) ? await caches.match(request) : undefined;
  return kept ?? fresh(request);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/static/")) event.respondWith(asset(request));
  else if (request.mode === "navigate") event.respondWith(fetch(request).catch(() => caches.match(OFFLINE)));
});
