// Parts that the scripts of several pages share: live streams, parts of a page loaded again, and announcements.

const token = document.querySelector('meta[name="csrf-token"]').content;

/** The headers of a request that changes something. */
export const csrf = token ? { "X-CSRF-Token": token } : {};

/** Let screen readers say a text. */
export function announce(text) {
  document.getElementById("announcement").textContent = text;
}

/**
 * Follow a stream of server-sent events while the page is visible: a hidden page would hold one of the six connections
 * that a browser opens to a host. `handlers` has a function of the event for each kind. Returns a function that ends it.
 */
export function follow(url, handlers) {
  let source = null;
  const open = () => {
    source = new EventSource(url);
    source.onerror = () => {
      // refused, as after the end of a session: the page itself then says why; a lost connection is opened again
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    };
    for (const [kind, handle] of Object.entries(handlers)) source.addEventListener(kind, handle);
  };
  const change = () => {
    source?.close();
    if (!document.hidden) open();
  };
  document.addEventListener("visibilitychange", change);
  if (!document.hidden) open();
  return () => {
    document.removeEventListener("visibilitychange", change);
    source?.close();
  };
}

let turn = Promise.resolve();

/**
 * Load a page and replace the elements with these ids by those of the new page, and the title. Focus and what was
 * checked stay. If the page has none of them, as after the end of a session, go there. One call waits for another, so
 * that an older page never replaces a newer one.
 */
export function refresh(ids, url = location.href, options = {}) {
  const result = turn.then(() => replace(ids, url, options));
  turn = result.catch(() => undefined);
  return result;
}

async function replace(ids, url, options) {
  const response = await fetch(url, { ...options, headers: { Accept: "text/html", ...options.headers } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!ids.some((id) => page.getElementById(id))) {
    location.assign(response.url);
    return;
  }
  document.title = page.title;
  const focused = document.activeElement;
  for (const id of ids) {
    const [before, after] = [document.getElementById(id), page.getElementById(id)];
    if (!before || !after) continue;
    for (const box of before.querySelectorAll("input[type=checkbox]")) {
      const same = box.id && after.querySelector(`#${CSS.escape(box.id)}`);
      if (same) same.checked = box.checked;
    }
    before.replaceWith(document.adoptNode(after));
  }
  if (!focused.isConnected) focusAgain(focused);
}

/** Move the focus to the element that replaced a focused one, or to the first control of its nearest parent that is left. */
function focusAgain(removed) {
  for (let element = removed; element; element = element.parentElement) {
    const left = element.id && document.getElementById(element.id);
    if (!left) continue;
    (element === removed ? left : (left.querySelector("a, button, input, select, textarea") ?? left)).focus();
    return;
  }
  document.getElementById("main").focus();
}
