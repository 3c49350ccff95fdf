// The inbox without this script: the same pages, the same forms, reloaded by
// hand. With it: live, with keys, and times as the reader's clock has them.
'use strict';
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);

  // Times. The page carries UTC; the reader sees their own, and what is left.
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  const left = (ms) => {
    const s = Math.max(0, Math.ceil(ms / 1000)), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
    if (h > 0) return m > 0 ? `in ${h} h ${m} min` : `in ${h} h`;
    return m > 0 ? `in ${m} min ${s % 60} s` : `in ${s % 60} s`;
  };
  const tick = () => {
    const now = Date.now();
    for (const t of all('time[data-until]')) {
      const end = Date.parse(t.dateTime), ms = end - now;
      t.textContent = ms > 0 ? left(ms) : 'now';
      t.title = local.format(end);
      t.classList.toggle('soon', ms < 60000);
    }
    for (const t of all('time[data-at]:not([title])')) {
      t.title = t.dateTime;
      t.textContent = local.format(Date.parse(t.dateTime));
    }
  };
  tick();
  setInterval(tick, 1000);
  document.body.addEventListener('htmx:afterSwap', tick);

  // A form that somebody is filling in stays, unless what it may do has changed.
  document.body.addEventListener('htmx:oobBeforeSwap', (e) => {
    const next = e.detail.fragment.querySelector('#actions') || e.detail.fragment.firstElementChild;
    if (e.detail.target.id === 'actions' && next && next.dataset.status === e.detail.target.dataset.status) e.detail.shouldSwap = false;
  });

  // Live. A browser has few connections for one host: a hidden page gives its
  // own back, and asks anew when it is looked at.
  const address = document.body.dataset.events, sign = byId('live');
  let source = null;
  const show = (on) => { if (sign) sign.hidden = !on; };
  // What asks anew is around what is replaced: a change that comes while an
  // answer is under way is then asked for behind it, and not lost.
  const refresh = () => window.htmx && htmx.trigger(document.body, 'live');
  const close = () => { if (source) source.close(); source = null; show(false); };
  const open = () => {
    if (!address || source || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener('open', () => { show(true); refresh(); });
    source.addEventListener('changed', refresh);
    source.addEventListener('end', () => { close(); location.reload(); });
    source.addEventListener('error', () => {
      show(false); // a lost connection comes back by itself
      if (!source || source.readyState !== EventSource.CLOSED) return;
      source = null; // refused: signed out, which asking anew shows, or too many open pages
      refresh();
      setTimeout(open, 10000);
    });
  };
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  addEventListener('pagehide', close);
  addEventListener('pageshow', open);

  // A form is sent once.
  document.addEventListener('submit', (e) => {
    const form = e.target;
    if (form.method !== 'post') return;
    if (form.dataset.sent) { e.preventDefault(); return; }
    form.dataset.sent = '1';
    setTimeout(() => { for (const b of form.querySelectorAll('button')) b.disabled = true; });
  });
  addEventListener('pageshow', () => { // back from the next page
    for (const form of all('form[data-sent]')) {
      delete form.dataset.sent;
      for (const b of form.querySelectorAll('button')) b.disabled = false;
    }
  });

  // Keys. None of them votes: a goes to the button, which is then pressed.
  const help = byId('help');
  const go = (id) => { const el = byId(id); if (el) { el.focus(); el.scrollIntoView({ block: 'nearest' }); } return !!el; };
  const move = (by) => {
    const entries = all('a.headline'), at = entries.indexOf(document.activeElement);
    const next = entries[at < 0 ? (by > 0 ? 0 : entries.length - 1) : Math.min(entries.length - 1, Math.max(0, at + by))];
    if (next) { next.focus(); next.closest('.entry').scrollIntoView({ block: 'nearest' }); }
    return !!next;
  };
  const keys = {
    j: () => move(1), k: () => move(-1),
    a: () => go('approve'), d: () => go('deny-reason'), '/': () => go('filter'),
    u: () => { const up = document.querySelector('[data-up]'); if (up) up.click(); return !!up; },
    '?': () => { if (help && !help.open) help.showModal(); return !!help; },
  };
  document.addEventListener('keydown', (e) => {
    const field = e.target.closest('input, textarea, select');
    if (e.key === 'Escape' && field) { field.blur(); return; }
    if (e.ctrlKey || e.metaKey || e.altKey || e.repeat && e.key !== 'j' && e.key !== 'k' || field && field.type !== 'radio' || help && help.open) return;
    const act = keys[e.key];
    if (act && act()) e.preventDefault();
  });
  const button = document.querySelector('[data-help]');
  if (button) { button.hidden = false; button.addEventListener('click', keys['?']); }

  open();
})();
