// The little script of our own. Everything on the pages works without it; this makes some of it quicker.
'use strict';

// Trusted Types: HTML gets into a page in two ways only. htmx swaps what our own server rendered, through the policy
// frist; the design system builds one constant, through the default policy. Anything else throws.
const trusted = window.trustedTypes;
if (trusted) {
  const constants = new Set(['', '<slot name="items"></slot>']);
  trusted.createPolicy('default', {
    createHTML(html) {
      if (constants.has(html)) return html;
      throw new TypeError('no HTML from strings');
    },
  });
}

document.addEventListener('DOMContentLoaded', () => {
  // htmx asks this listener first: it starts on the same event, and was loaded later.
  if (window.htmx) {
    const never = () => { throw new TypeError('no code from strings'); };
    const policy = trusted ? trusted.createPolicy('frist', { createHTML: (html) => html }) : undefined;
    // Browsers older than 2026 know parseHTMLUnsafe, but not with trusted HTML and options: htmx then uses its other way.
    if (policy && Document.parseHTMLUnsafe) {
      try { Document.parseHTMLUnsafe(policy.createHTML(''), {}); } catch { Document.parseHTMLUnsafe = undefined; }
    }
    window.htmx.registerExtension('frist', {
      init(api) {
        api.initSecurity(policy && { createHTML: (html) => policy.createHTML(html), createScript: never }, never, never);
      },
    });
  }
  for (const hidden of document.querySelectorAll('[data-needs-script]')) hidden.hidden = false;
  document.querySelector('.ds-error-summary')?.focus();
  const here = document.querySelector('.tabs [aria-current]');
  if (here) { // the tab one stands on, in a strip that is wider than the screen
    const strip = here.parentElement;
    const [a, b] = [here.getBoundingClientRect(), strip.getBoundingClientRect()];
    strip.scrollLeft += a.left - b.left - (b.width - a.width) / 2;
  }
  const off = document.querySelector('[data-shortcuts-off]');
  if (off) {
    off.checked = shortcutsAreOff();
    off.addEventListener('change', () => localStorage.setItem('frist-shortcuts', off.checked ? 'off' : 'on'));
  }
});

// Buttons with command and commandfor, where the browser does not know them yet.
if (!('commandForElement' in HTMLButtonElement.prototype)) {
  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('button[commandfor]');
    const dialog = button && document.getElementById(button.getAttribute('commandfor'));
    if (!(dialog instanceof HTMLDialogElement)) return;
    if (button.getAttribute('command') === 'show-modal') dialog.showModal();
    else dialog.close();
  });
}

document.addEventListener('change', (event) => {
  const field = event.target;
  // data-all="rows": one box picks all of that name. data-submit: a choice is sent at once.
  if (field.dataset.all) {
    for (const box of document.getElementsByName(field.dataset.all)) box.checked = field.checked;
  }
  if ('submit' in field.dataset) field.form?.requestSubmit();
});

// Shortcuts: an element with data-key="g d" is pressed, or focused when it is a field, by typing g and then d.
function shortcutsAreOff() {
  try {
    return localStorage.getItem('frist-shortcuts') === 'off';
  } catch {
    return false;
  }
}

let typed = '';
let last = 0;
document.addEventListener('keydown', (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key === 's') {
    const save = document.querySelector('dialog[open] .actions button:not([type=button]), .savebar button:not([type=button])');
    if (save) {
      event.preventDefault();
      save.click();
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || shortcutsAreOff()) return;
  if (event.target.closest('input, select, textarea, [contenteditable], dialog[open]')) return;
  if (event.key === '?') {
    document.getElementById('hurtigtaster')?.showModal();
    return;
  }
  typed = event.timeStamp - last < 1500 ? `${typed} ${event.key}` : event.key;
  last = event.timeStamp;
  for (const keys of [typed, event.key]) {
    const target = document.querySelector(`[data-key="${CSS.escape(keys)}"]`);
    if (!target) continue;
    event.preventDefault();
    typed = '';
    if (target.matches('input:not([type=checkbox]), select, textarea')) target.focus();
    else target.click();
    return;
  }
});
