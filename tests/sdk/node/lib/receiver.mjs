// A plain HTTP receiver on loopback that records every request raw and answers by a script.
// It verifies nothing while it answers; the published libraries judge the signatures afterwards.

import { createServer } from "node:http";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const DEADLINE_MS = 30_000;

const pick = (headers, prefix) =>
  Object.fromEntries(
    ["id", "timestamp", "signature"].map((part) => [`${prefix}-${part}`, headers[`${prefix}-${part}`]]),
  );

/** Throws unless both libraries, each reading its own headers, accept the request. */
export function verify(request, secret) {
  new StandardWebhook(secret).verify(request.body, pick(request.headers, "webhook"), { jsonParse: false });
  new SvixWebhook(secret).verify(request.body, pick(request.headers, "svix"));
}

export function verifies(request, secret) {
  try {
    verify(request, secret);
    return true;
  } catch {
    return false;
  }
}

export class Receiver {
  /** The secrets that what arrives may be signed with. */
  secrets = [];
  /** Another check than a shared secret, for v1a: `(request) => boolean`. */
  accepts = undefined;
  requests = [];
  #script = [];
  #default = 200;
  #waiting = new Set();
  #server;

  static async open(t) {
    const receiver = new Receiver();
    receiver.#server = createServer((req, res) => receiver.#serve(req, res));
    await new Promise((ready) => receiver.#server.listen(0, "127.0.0.1", ready));
    t.after(() => receiver.#close());
    return receiver;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}/hook`;
  }

  /** One scripted status per coming request. */
  answer(...statuses) {
    this.#script.push(...statuses);
  }

  /** What to answer once the script has run out. */
  always(status) {
    this.#default = status;
  }

  /** Resolves with the matching requests once `count` of them came; wakes on arrival. */
  wait(count = 1, match = () => true) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.requests.filter(match);
        if (found.length < count) return false;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(found);
        return true;
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const got = this.requests.map((r) => `${r.headers["webhook-id"]} ${r.body}`);
        reject(new Error(`${this.requests.filter(match).length} of ${count} awaited requests came; all: ${got}`));
      }, DEADLINE_MS);
      if (!look()) this.#waiting.add(look);
    });
  }

  /** Waits for `count` requests that carry this message. */
  of(messageId, count = 1) {
    return this.wait(count, (r) => r.headers["webhook-id"] === messageId);
  }

  #serve(req, res) {
    const chunks = [];
    req.on("data", (chunk) => chunks.push(chunk));
    req.on("end", () => {
      const request = { method: req.method, path: req.url, headers: req.headers, body: Buffer.concat(chunks) };
      res.writeHead(this.#script.shift() ?? this.#default, { "x-receiver": "node" });
      res.end("thanks", () => {
        this.requests.push(request);
        for (const look of [...this.#waiting]) look();
      });
    });
  }

  async #close() {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
    for (const request of this.requests) {
      const good = this.accepts ? this.accepts(request) : this.secrets.some((s) => verifies(request, s));
      if (!good) throw new Error(`unverifiable request: ${JSON.stringify(request.headers)}`);
    }
  }
}
