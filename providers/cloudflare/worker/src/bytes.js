// Text forms of bytes, as they cross the wire.

/** @param {string} text @returns {Uint8Array<ArrayBuffer> | undefined} */
export function fromBase64Url(text) {
  try {
    const binary = atob(text.trim().replace(/=+$/, "").replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** @param {string} text @returns {Uint8Array<ArrayBuffer> | undefined} */
export function fromHex(text) {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

/** @param {ArrayBuffer} bytes */
export function toHex(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
