/**
 * Keys on the wire and in order. S3 compares keys by their UTF-8 bytes and signs them percent-encoded once; both
 * differ from what JavaScript does by itself (UTF-16 order, `!'()*` left alone), so each is spelled out here once.
 */

const plainKey = /^[A-Za-z0-9\-._~/]*$/;
const plainValue = /^[A-Za-z0-9\-._~]*$/;
const leftByUri = /[!'()*]/g;

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** Encodes every byte but `A-Za-z0-9-._~`. Throws URIError on a lone surrogate. */
export function encodeQueryValue(value: string): string {
  return plainValue.test(value) ? value : encodeURIComponent(value).replace(leftByUri, percent);
}

/** Like encodeQueryValue, but `/` stays. Nothing is normalised: `.`, `..` and `//` are bytes like others. */
export function encodeKey(key: string): string {
  return plainKey.test(key) ? key : encodeQueryValue(key).replaceAll('%2F', '/');
}

/** Reverses encoding-type=url of a listing: percent-encoded UTF-8 in which `+` is a space. Throws URIError. */
export function decodeListedKey(text: string): string {
  if (text.includes('+')) text = text.replaceAll('+', ' ');
  return text.includes('%') ? decodeURIComponent(text) : text;
}

/**
 * UTF-8 byte order. UTF-16 units agree with it except that surrogates (U+10000 and above) sort below U+E000..U+FFFF;
 * lifting those two ranges over each other repairs it.
 */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    if (x >= 0xd800 && y >= 0xd800) {
      x = x >= 0xe000 ? x - 0x2000 : x + 0x2000;
      y = y >= 0xe000 ? y - 0x2000 : y + 0x2000;
    }
    return x - y;
  }
  return a.length - b.length;
}
