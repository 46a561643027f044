// What a busy day brings to a page, a snapshot every 5 s. After the page's scripts.
const template = JSON.parse(JSON.stringify(view)), live = template.devices[0], opened = new Date(view.now).getTime();
var snapshots = 0;
function at(seconds) { return new Date(opened + seconds * 1000).toISOString(); }
function scripted(n) {  // the n-th snapshot, 5 s after the one before: what a busy day brings to a page
  const second = n * 5, device = { ...live, heard_at: at(second), stats: { ...live.stats, faces_seen: 62 + n, discarded: 58 + n } };
  device.conditions = live.conditions.map((row, k) => ({ ...row, result: (n + k) % 40 === 0 ? "fails" : "holds" }));
  device.faults = n % 9 === 0 ? [{ problem: `too late by ${n} ms`, count: n }] : [];
  const shows = n % 360 < 60;
  device.live_view = { allowed: true, until: shows ? at(second + 60) : null, given_by: "op-1" };
  device.view = !shows ? null : { given_by: "op-1", cameras: { front: { version: n, columns: 12, rows: 7, width: 1280, height: 720,
    commissioning: n % 2 === 0, min_face_px: 32, faces: [[n % 12, n % 7, 40 + n % 50]], zone: [[100, 100], [900, 100], [900, 900]] } } };
  const first = Math.floor(n / 24);  // a case arrives every 2 min and leaves after 6
  const cases = [first - 2, first - 1, first].filter((k) => k >= 0).map((k) => ({ ...template.cases[0], id: `case-${k}`, probe: null, reference: null,
    label: `Person ${k}`, captured_at: at(k * 120), expires_at: at(k * 120 + 60), delete_by: at(k * 120 + 360), outcome: k === first - 2 ? "true_alert" : null }));
  const blue = { cards: n % 12 < 4 ? [{ id: `b-${n}`, ref: "V-1", device: "cam-1", camera: "front", at: at(second) }] : [], volunteers: ["V-1"], waiting: n % 3,
    minimum_cell: 10, figures: { rate: { events: n, of: n + 1, value: n / (n + 1), low: 0, high: 1 }, groups: {}, below: n % 100 === 0, band: [0.8, 0.9] } };
  const receipts = [{ what: "probe", count: 1, alert: String(n).padStart(6, "0"), reason: "expiry" }];
  return { ...template, now: at(second), devices: [device], cases, blue_list: blue, receipts, lock_in_s: n % 180 < 170 ? 800 : 50, user: null };
}
function hour() {
  for (let n = 0; n < 720; n++) {
    streams.at(-1).onmessage({ data: JSON.stringify(scripted(snapshots++)) });
    pass(5);
  }
}
