// Passkeys: a button with data-passkey asks that address what to make or to sign, and its form
// sends the answer. Where a browser knows none the button stays hidden (`needs-js`, and `hidden`).

const Key = window.PublicKeyCredential;

for (const button of document.querySelectorAll("[data-passkey]")) {
  button.hidden = !Key?.parseRequestOptionsFromJSON;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-passkey]");
  if (button) use(button);
});

async function use(button) {
  const { form, dataset } = button;
  const said = form.querySelector("[data-passkey-said]");
  said.textContent = "";
  button.disabled = true;
  try {
    form.elements.credential.value = JSON.stringify(await answer(form, dataset));
    form.submit();
  } catch {
    said.textContent = "The passkey was not used. Try again, or use another way.";
    button.disabled = false;
  }
}

async function answer(form, { passkey, make }) {
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const { publicKey } = await (await fetch(passkey, { method: "POST", headers })).json();
  const made = make === undefined
    ? await navigator.credentials.get({ publicKey: Key.parseRequestOptionsFromJSON(publicKey) })
    : await navigator.credentials.create({ publicKey: Key.parseCreationOptionsFromJSON(publicKey) });
  return made.toJSON();
}
