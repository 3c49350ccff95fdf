// Passkeys. A form that says so asks the page's own server what is to be signed,
// has the browser's passkey sign it, and is then sent with the answer.
'use strict';
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const named = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));

  const options = async (form, address) => {
    const answer = await fetch(address, { method: 'POST', body: new URLSearchParams(new FormData(form)), headers: { Accept: 'application/json' } });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok || !said.options) throw new Error(said.problem || 'This page is too old. Open it again.');
    return said;
  };
  const get = async (form) => {
    const { at, options: o } = await options(form, form.dataset.challenge);
    const made = await navigator.credentials.get({ publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials: named(o.allowCredentials) } });
    const r = made.response;
    return { at, credential: text(made.rawId), authenticator: text(r.authenticatorData), client: text(r.clientDataJSON), signature: text(r.signature) };
  };
  const create = async (form) => {
    const { options: o } = await options(form, form.dataset.create);
    const made = await navigator.credentials.create({ publicKey: {
      ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: named(o.excludeCredentials),
    } });
    return { credential: text(made.rawId), client: text(made.response.clientDataJSON), attestation: text(made.response.attestationObject) };
  };

  // What a browser says of its own is not for people.
  const words = {
    NotAllowedError: 'No passkey has answered. Try again, or use another device.',
    InvalidStateError: 'This device has a passkey of yours already.',
    SecurityError: 'This address is not the one that passkeys are used at.',
    NotSupportedError: 'This device cannot make a passkey that is taken here.',
  };
  document.addEventListener('submit', async (e) => {
    const form = e.target, sign = form.dataset.challenge ? get : form.dataset.create ? create : null;
    if (!sign) return;
    e.preventDefault();
    e.stopImmediatePropagation(); // it is not sent yet
    if (form.dataset.signing) return;
    form.dataset.signing = '1';
    const problem = form.querySelector('[data-problem]'), button = form.querySelector('button');
    problem.hidden = true;
    button.disabled = true;
    try {
      if (!window.PublicKeyCredential) throw new Error('This browser, or this address, takes no passkeys.');
      for (const [name, value] of Object.entries(await sign(form))) {
        const field = document.createElement('input');
        field.type = 'hidden'; field.name = name; field.value = value; field.dataset.answer = '';
        form.append(field);
      }
      HTMLFormElement.prototype.submit.call(form);
    } catch (err) {
      problem.textContent = words[err.name] || (err.name === 'Error' ? err.message : 'The passkey did not answer. Try again.');
      problem.hidden = false;
      button.disabled = false;
      delete form.dataset.signing;
    }
  }, true);
  addEventListener('pageshow', () => { // back from the next page: an answer is good once
    for (const field of document.querySelectorAll('input[data-answer]')) field.remove();
    for (const form of document.querySelectorAll('form[data-signing]')) {
      delete form.dataset.signing;
      form.querySelector('button').disabled = false;
    }
  });
})();
