// #standing asks whether orders are still taken; the answer also fills the places of this page that say so.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.elt.id !== "standing") return;
  detail.parameters.places = Array.from(document.querySelectorAll("[data-standing]"), (place) => place.id).join(" ");
});
