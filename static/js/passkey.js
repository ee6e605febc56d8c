// Passkeys: a button with data-passkey asks that address what to sign, or to make, and its form
// sends the answer. It stays hidden where a browser knows none.

const Key = window.PublicKeyCredential;

for (const button of document.querySelectorAll("[data-passkey]")) {
  button.hidden = !Key?.parseRequestOptionsFromJSON;
  button.onclick = async () => {
    const { form, dataset } = button;
    const { credential, csrfmiddlewaretoken } = form.elements;
    const headers = { "X-CSRFToken": csrfmiddlewaretoken.value };
    try {
      const answer = await fetch(dataset.passkey, { method: "POST", headers, redirect: "manual" });
      if (answer.type === "opaqueredirect") {
        location.replace(location.pathname + location.search); // to confirm first: this page leads there, and back
        return;
      }
      const { publicKey } = await answer.json();
      const made = await ("make" in dataset
        ? navigator.credentials.create({ publicKey: Key.parseCreationOptionsFromJSON(publicKey) })
        : navigator.credentials.get({ publicKey: Key.parseRequestOptionsFromJSON(publicKey) }));
      credential.value = JSON.stringify(made);
      form.submit();
    } catch {
      form.querySelector("[data-passkey-said]").textContent = "It did not work. Try again, or use another way.";
    }
  };
}
