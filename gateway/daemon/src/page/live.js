'use strict';
(() => {
  const stale = document.getElementById('stale');
  let seen = Date.now();
  const show = (event) => {
    seen = Date.now();
    stale.hidden = true;
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const part = document.getElementById(id);
      if (part && part.dataset.html !== html) {
        part.dataset.html = html;
        part.innerHTML = html;
      }
    }
  };
  const listen = () => {
    const events = new EventSource('/events?lang=' + document.documentElement.lang);
    events.onmessage = show;
    events.onerror = () => {
      events.close();
      setTimeout(listen, 2000);
    };
  };
  listen();
  setInterval(() => { stale.hidden = Date.now() - seen < 15000; }, 1000);
})();
