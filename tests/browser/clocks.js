// Before the page's scripts: timers and clocks that `pass` moves, streams that a test fills, and what nobody caught.
"use strict";
(() => {
  let ms = performance.now(), last = 0;
  const began = Date.now(), timers = new Map();
  performance.now = () => ms;
  Date.now = () => began + ms;
  const later = (call, after, every) => { timers.set(++last, { at: ms + after, call, every }); return last; };
  window.setTimeout = (call, after = 0) => later(call, after);
  window.setInterval = (call, every) => later(call, every, every);
  window.clearTimeout = window.clearInterval = (id) => timers.delete(id);
  window.EventSource = class { constructor() { this.readyState = 1; streams.push(this); } };
  EventSource.CLOSED = 2;
  window.streams = [];
  window.faults = [];
  addEventListener("unhandledrejection", (fault) => faults.push(String(fault.reason)));
  addEventListener("error", (fault) => faults.push(fault.message));
  window.waiting = () => timers.size;
  window.pass = (seconds) => {
    const end = ms + seconds * 1000;
    for (;;) {
      const due = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (due === undefined) break;
      const [id, timer] = due;
      ms = timer.at;
      if (timer.every) timer.at += timer.every; else timers.delete(id);
      timer.call();
    }
    ms = end;
  };
})();
