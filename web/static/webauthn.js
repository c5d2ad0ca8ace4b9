// Passkeys: asks the browser for one, and puts its answer into the form that the button stands in. Nothing of it is kept.
'use strict';

const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const keys = (list) => (list || []).map((key) => ({ ...key, id: bytes(key.id) }));

async function ask(fresh) {
  const response = await fetch('/konto/faktor/sporsmal', { method: 'POST', body: new URLSearchParams(fresh ? { new: '1' } : {}) });
  const question = await response.json();
  if (question.confirm) {
    location.assign('/konto/bekreft?next=%2Fkonto%2Ffaktor%2Fpassnokkel');
    return null;
  }
  if (!response.ok) throw new Error('no question');
  const publicKey = { ...question.options, challenge: bytes(question.options.challenge) };
  let key;
  if (fresh) {
    publicKey.user = { ...publicKey.user, id: bytes(publicKey.user.id) };
    publicKey.excludeCredentials = keys(publicKey.excludeCredentials);
    key = await navigator.credentials.create({ publicKey });
  } else {
    publicKey.allowCredentials = keys(publicKey.allowCredentials);
    key = await navigator.credentials.get({ publicKey });
  }
  const answer = { id: key.id, rawId: text(key.rawId), type: key.type, clientExtensionResults: key.getClientExtensionResults(), response: {} };
  for (const part of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (key.response[part]) answer.response[part] = text(key.response[part]);
  }
  if (key.response.getTransports) answer.response.transports = key.response.getTransports();
  return { ceremony: question.ceremony, answer: JSON.stringify(answer) };
}

for (const button of document.querySelectorAll('[data-passkey-start]')) {
  button.addEventListener('click', async () => {
    const part = button.closest('[data-passkey]');
    const failed = part.querySelector('[data-passkey-failed]');
    failed.hidden = true;
    try {
      const said = await ask(part.dataset.passkey === 'new');
      if (!said) return;
      part.querySelector('[name=ceremony]').value = said.ceremony;
      part.querySelector('[name=answer]').value = said.answer;
      button.form.requestSubmit();
    } catch {
      failed.hidden = false;
    }
  });
}
