// Requests to the page's own server. A changing request carries the header that a foreign page cannot send.

export class Failed extends Error {}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new Failed("vad watch does not answer.");
  }
  if (response.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
    throw new Failed("Please log in.");
  }
  const content = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new Failed(content?.detail ?? `The server answered ${response.status}.`);
  return content;
}

const change = (method, path, body) =>
  request(path, { method, headers: { "Content-Type": "application/json", "X-Vad": "1" }, body: body && JSON.stringify(body) });

const camera = (name) => `/api/cameras/${encodeURIComponent(name)}`;
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== "")).toString();

export const api = {
  cameras: () => request("/api/cameras"),
  scores: (name, since, until, points) => request(`${camera(name)}/scores?${query({ since, until, points })}`),
  states: (name, since, until) => request(`${camera(name)}/states?${query({ since, until })}`),
  patches: (name) => request(`${camera(name)}/patches`),
  pause: (name, paused) => change("PUT", `${camera(name)}/paused`, { paused }),
  zones: (name, zones) => change("PUT", `${camera(name)}/zones`, { zones }),
  events: (filter) => request(`/api/events?${query(filter)}`),
  event: (id) => request(`/api/events/${id}`),
  review: (id, verdict) => change("PUT", `/api/events/${id}/verdict`, { verdict }),
  logout: () => change("POST", "/logout"),
  pictureAddress: (name) => `${camera(name)}/picture.jpg`,
  clipAddress: (id) => `/api/events/${id}/clip.mp4`,
  snapshotAddress: (id) => `/api/events/${id}/snapshot.jpg`,
};
