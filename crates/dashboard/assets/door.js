// A link that signs in carries its token behind `#`, which browsers keep to themselves. It is put into the form and sent.

const fragment = location.hash.slice(1);
if (new URLSearchParams(fragment).has("token")) {
  const base = document.documentElement.dataset.base;
  const form = document.getElementById("sign-in");
  if (form) {
    history.replaceState(null, "", location.pathname + location.search);
    form.elements.token.value = `#${fragment}`;
    form.requestSubmit();
  } else {
    location.replace(`${base}/sign-in#${fragment}`);
  }
}
