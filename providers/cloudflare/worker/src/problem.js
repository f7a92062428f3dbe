// Every error of the Worker is a problem document (RFC 9457) with one of Pilot's stable codes.

/**
 * Status, whether a retry can help, and the title; a test compares them with `contracts`.
 * @satisfies {Record<string, [number, boolean, string]>}
 */
export const CODES = {
  bad_request: [400, false, "The request is malformed"],
  unauthorized: [401, false, "A login is needed"],
  not_found: [404, false, "There is nothing at this address"],
  home_gone: [410, false, "The home of the workspace is gone"],
  snapshot_not_found: [404, false, "There is no such snapshot"],
  foreign_object: [409, false, "The object belongs to somebody else"],
  fenced: [409, false, "A newer operation owns the object"],
  workspace_not_ready: [503, true, "The workspace is not ready"],
  upstream_unreachable: [502, true, "The instance does not answer"],
  instance_failed: [502, false, "The instance stopped while booting"],
  image_missing: [422, false, "The provider does not have the instance image"],
  provider_capacity: [503, true, "The provider has no room for the instance"],
  provider_failed: [502, false, "The provider refused or failed"],
  internal: [500, true, "Something went wrong inside Pilot"],
};

/** @typedef {keyof typeof CODES} Code */

/** What went wrong, on its way to the caller. `fields` are further members of the document. */
export class Refusal extends Error {
  /**
   * @param {Code} code
   * @param {string} detail
   * @param {Record<string, unknown>} [fields]
   */
  constructor(code, detail, fields = {}) {
    super(detail);
    this.code = code;
    this.fields = fields;
  }
}

/**
 * @param {Refusal} refusal
 * @param {string} requestId
 */
export function problem(refusal, requestId) {
  const [status, retryable, title] = CODES[refusal.code];
  const { code, message: detail, fields } = refusal;
  const type = `/docs/errors/${code}`;
  /** @type {Record<string, string>} */
  const headers = { "content-type": "application/problem+json", "x-pilot-request-id": requestId };
  if (code === "workspace_not_ready") headers["retry-after"] = "2";
  return new Response(JSON.stringify({ type, title, status, code, detail, retryable, requestId, ...fields }), {
    status,
    headers,
  });
}
