// A server of the page's API with answers that are made up: for shapes that a short run of the real one does not bring about,
// such as 10,000 units, pictures with findings, and texts that want to be scripts.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { deflateSync } from "node:zlib";

const dist = fileURLToPath(new URL("../../web/dist/", import.meta.url));
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; connect-src 'self'; frame-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const TYPES = { "app.js": "text/javascript", "app.css": "text/css", "icon.svg": "image/svg+xml", "LICENSES.txt": "text/plain" };

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// A WAV of a falling tone.
export function tone(seconds) {
  const rate = 8000;
  const count = Math.round(rate * seconds);
  const wav = Buffer.alloc(44 + 2 * count);
  wav.write("RIFF", 0).toString();
  wav.writeUInt32LE(36 + 2 * count, 4);
  wav.write("WAVEfmt ", 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(2 * rate, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write("data", 36);
  wav.writeUInt32LE(2 * count, 40);
  for (let i = 0; i < count; ++i) wav.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * 300 * i) / rate)), 44 + 2 * i);
  return wav;
}

// A grey PNG, however large.
export function grey(width, height) {
  const table = Array.from({ length: 256 }, (_, byte) => {
    let sum = byte;
    for (let bit = 0; bit < 8; ++bit) sum = sum & 1 ? 0xedb88320 ^ (sum >>> 1) : sum >>> 1;
    return sum >>> 0;
  });
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const sum = (body.reduce((all, byte) => table[(all ^ byte) & 255] ^ (all >>> 8), 0xffffffff) ^ 0xffffffff) >>> 0;
    const around = Buffer.alloc(8);
    around.writeUInt32BE(data.length, 0);
    around.writeUInt32BE(sum, 4);
    return Buffer.concat([around.subarray(0, 4), body, around.subarray(4)]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.writeUInt8(8, 8);
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", deflateSync(Buffer.alloc(height * (width + 1), 0))), chunk("IEND", Buffer.alloc(0))]);
}

// `world`: {pool, models, runs: {id: {summary, tracks, laps(index), events}}, blobs: {sha: {type, bytes}}, …}. What is asked is in `asked`.
export async function start(world, port = 0) {
  const asked = [];
  const watchers = new Set();
  const index = readFileSync(`${dist}index.html`, "utf8").replaceAll("@HASH@", "0");

  const json = (answer, body, status = 200) => {
    answer.writeHead(status, { "Content-Type": "application/json" });
    answer.end(JSON.stringify(body));
  };
  const refuse = (answer, status, message) => json(answer, { error: { message } }, status);

  const server = createServer(async (request, answer) => {
    const url = new URL(request.url, "http://localhost");
    const path = url.pathname.replace(/^\/v1\//, "/");
    let body = "";
    for await (const piece of request) body += piece;
    asked.push({ method: request.method, path, body, headers: request.headers });
    if (request.method !== "GET" && request.headers["x-lathe"] !== "1") return refuse(answer, 403, "no X-Lathe");
    if (path === "/") {
      answer.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY, "Cache-Control": "no-store" });
      return answer.end(index);
    }
    const asset = /^\/web\/0\/(.+)$/.exec(path);
    if (asset && TYPES[asset[1]]) {
      answer.writeHead(200, { "Content-Type": TYPES[asset[1]], "X-Content-Type-Options": "nosniff" });
      return answer.end(readFileSync(dist + asset[1]));
    }
    if (world.key && !(request.headers.cookie ?? "").includes(`session=${world.key}`)) {
      if (request.headers.authorization !== `Bearer ${world.key}`) return refuse(answer, 401, "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY");
      answer.setHeader("Set-Cookie", `session=${world.key}; Path=/; HttpOnly; SameSite=Strict`);
    }
    if (path === "/session") return json(answer, world.session ?? { keys: false, owner: true, name: "" });
    if (path === "/runs" && request.method === "GET") return json(answer, { runs: Object.values(world.runs).map((run) => run.row), next: null });
    if (path === "/runs") return json(answer, { id: Object.keys(world.runs)[0] }, 202);
    const blob = /^\/blobs\/([0-9a-f]{64})(\/page\.(?:png|html))?$/.exec(path);
    if (blob) {
      const kept = world.blobs[blob[1]];
      if (!kept) return refuse(answer, 404, "no such blob");
      const shown = blob[2] === "/page.png" ? kept.drawn : kept;
      answer.writeHead(200, { "Content-Type": shown.type, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'" });
      return answer.end(shown.bytes);
    }
    const of = /^\/runs\/([^/]+)(?:\/(.*))?$/.exec(path);
    if (of) {
      const run = world.runs[decodeURIComponent(of[1])];
      if (!run) return refuse(answer, 404, "there is no such run");
      const rest = of[2] ?? "";
      if (rest === "") return json(answer, run.summary);
      if (rest === "units") {
        const from = Number(url.searchParams.get("from"));
        const to = Math.min(run.tracks.length, from + Math.min(200, Number(url.searchParams.get("limit"))));
        return json(answer, { tracks: run.tracks.slice(from, to), next: to < run.tracks.length ? to : null });
      }
      if (rest.startsWith("units/")) return json(answer, run.unit(Number(rest.slice(6))));
      if (rest === "labels") return json(answer, run.labels);
      if (rest === "agreement") return json(answer, run.agreement);
      if (rest === "stop" || rest === "resume") return json(answer, {}, 202);
      if (rest === "events") {
        answer.writeHead(200, { "Content-Type": "text/event-stream" });
        answer.write(": hello\n\n");
        if (run.summary.state !== "running") answer.write("event: end\ndata: {}\n\n");
        watchers.add(answer);
        answer.on("close", () => watchers.delete(answer));
        return;
      }
    }
    if (path === "/labels") {
      const label = JSON.parse(body);
      const { labels } = world.runs[label.run].labels;
      const known = labels.find((each) => each.blob === label.blob && each.unit === label.unit);
      if ((known?.revision ?? null) !== label.seen) return refuse(answer, 409, "somebody else has judged this take since");
      const revision = (known?.revision ?? 0) + 1;
      world.runs[label.run].labels.labels = [...labels.filter((each) => each !== known), { ...label, revision, t_ms: 1, by: "owner" }];
      return json(answer, { revision });
    }
    const bare = ({ text, whole, ...row }) => row;
    if (path === "/nodes") return json(answer, world.nodes);
    if (path === "/plans") return json(answer, { data: world.plans });
    if (path === "/consents") return json(answer, { data: world.consents.map(bare), open: world.consents.filter((row) => row.decision === "asked").length });
    if (path.startsWith("/consents/")) {
      const row = world.consents.find((each) => each.id === decodeURIComponent(path.slice(10)));
      if (!row) return refuse(answer, 404, "nobody was asked for this consent");
      if (request.method === "GET") return json(answer, row);
      const { decision, secret_ok = [] } = JSON.parse(body);
      if (decision === "allow" && !row.secrets.every((kind) => secret_ok.includes(kind))) return refuse(answer, 403, "it holds what looks like a secret");
      row.decision = decision === "allow" ? "allowed" : "refused";
      return json(answer, bare(row));
    }
    const row = ({ turns, settings, ...rest }) => rest;
    if (path === "/chats" && request.method === "GET") {
      const words = url.searchParams.get("search").toLowerCase().split(" ");
      const found = world.chats.filter((chat) => words.every((word) => JSON.stringify(chat.turns).toLowerCase().includes(word)));
      const from = Number(url.searchParams.get("from")), to = from + Number(url.searchParams.get("limit"));
      return json(answer, { data: found.slice(from, to).map(row), next: to < found.length ? to : null, others: world.others ?? [] });
    }
    if (path === "/chats" || path.startsWith("/chats/")) {
      const known = world.chats.find((chat) => chat.id === path.slice(7));
      if (path !== "/chats" && !known) return refuse(answer, 404, "there is no such chat");
      if (request.method === "GET") return json(answer, known);
      world.chats = world.chats.filter((chat) => chat !== known);
      if (request.method === "DELETE") return json(answer, { id: known.id, forgotten: true });
      const { seen, ...said } = JSON.parse(body);
      if (known && known.revision !== seen) {
        world.chats = [known, ...world.chats];
        return refuse(answer, 409, "gone on with elsewhere");
      }
      world.made = (world.made ?? 0) + (known ? 0 : 1);
      const chat = { ...said, id: known?.id ?? `chat-new-${world.made}`, title: said.turns[0].text, changed_ms: Date.now(), revision: (known?.revision ?? 0) + 1, bytes: body.length };
      world.chats = [chat, ...world.chats];
      return json(answer, { id: chat.id, revision: chat.revision });
    }
    if (path === "/chat/completions") {
      answer.writeHead(200, { "Content-Type": "text/event-stream" });
      answer.on("close", () => (world.left = !answer.writableFinished));
      const line = (data) => answer.write(`data: ${JSON.stringify(data)}\n\n`);
      for (const word of world.answer.split(/(?<= )/)) line({ choices: [{ index: 0, delta: { content: word }, finish_reason: null }], seed: 7 });
      if (world.endless) return; // until whoever asked has heard enough
      line({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], seed: 7 });
      line({ choices: [], seed: 7, usage: { prompt_tokens: 40, completion_tokens: 30, total_tokens: 70, prompt_tokens_details: { cached_tokens: 24 }, millijoules: 31_400, energy_scope: "package", busy_us: 2_400_000 } });
      answer.write("data: [DONE]\n\n");
      return answer.end();
    }
    if (path === "/audio/speech") {
      answer.writeHead(200, { "Content-Type": "audio/wav" });
      return answer.end(tone(0.4));
    }
    if (path === "/catalog/pull") {
      answer.writeHead(200, { "Content-Type": "text/event-stream" });
      for (const [i, step] of world.pulling.entries()) {
        if (i > 0) await new Promise((done) => (world.pulled = done)); // the test lets it go on
        answer.write(step);
      }
      return answer.end();
    }
    const plain = world[decodeURIComponent(path.slice(1))];
    if (plain !== undefined) return json(answer, plain);
    refuse(answer, 404, `there is no ${path}`);
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    asked,
    watched: () => watchers.size,
    send: (event) => watchers.forEach((each) => each.write(`id: ${event.seq}\nevent: record\ndata: ${JSON.stringify(event)}\n\n`)),
    gone: () => watchers.forEach((each) => each.end("event: gone\ndata: {}\n\n")),
    stop: () => new Promise((done) => {
      if (!server.listening) return done();
      watchers.forEach((each) => each.end());
      server.closeAllConnections();
      server.close(done);
    }),
  };
}
