/**
 * The XML that S3 answers, read by one forward scan. A listing page has 1,000 entries and is read for every `ls`, so
 * there is no tree: each leaf element is handed over with its parent's name. Only XML's own entities exist (no DTD, so
 * no entity bombs), nesting is bounded, and each character is looked at a constant number of times.
 */

/** A document that is not what S3 sends. */
export class XmlError extends Error {
  override readonly name = 'XmlError';
}

export interface XmlHandler {
  /** An element without child elements, its text decoded; `parent` is the element around it ('' for the root). */
  leaf(name: string, text: string, parent: string): void;
  /** The end of an element that had child elements. */
  close?(name: string): void;
}

const MAX_DEPTH = 16;
const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decodeEntity(body: string): string {
  if (body.startsWith('#')) {
    const digits = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(body);
    const code = digits === null ? -1 : Number.parseInt(digits[1] ?? digits[2], digits[1] === undefined ? 10 : 16);
    if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      throw new XmlError('bad character reference');
    return String.fromCodePoint(code);
  }
  if (!Object.hasOwn(named, body)) throw new XmlError('unknown entity');
  return named[body];
}

export function decodeXmlText(text: string): string {
  let at = text.indexOf('&');
  if (at < 0) return text;
  let out = '';
  let from = 0;
  while (at >= 0) {
    const end = text.indexOf(';', at);
    if (end < 0 || end - at > 12) throw new XmlError('bad entity');
    out += text.slice(from, at) + decodeEntity(text.slice(at + 1, end));
    from = end + 1;
    at = text.indexOf('&', from);
  }
  return out + text.slice(from);
}

/** `ns:Name attr="x"` to `Name`. */
function localName(tag: string): string {
  let from = 0;
  for (let i = 0; i < tag.length; i++) {
    const code = tag.charCodeAt(i);
    if (code === 0x3a) from = i + 1;
    else if (code <= 0x20 || code === 0x2f) return tag.slice(from, i);
  }
  return from === 0 ? tag : tag.slice(from);
}

/** Skips `<?…?>` and `<!--…-->`; anything else that begins with `<!` outside of text is refused. */
function skipMarkup(xml: string, open: number): number {
  const terminator = xml.startsWith('<?', open) ? '?>' : xml.startsWith('<!--', open) ? '-->' : undefined;
  if (terminator === undefined) throw new XmlError('declarations are not accepted');
  const end = xml.indexOf(terminator, open + 2);
  if (end < 0) throw new XmlError('unfinished markup');
  return end + terminator.length;
}

/** Names of the elements that are open, and whether the innermost has had child elements. */
class Nesting {
  readonly names: string[] = [];
  readonly hasChildren: boolean[] = [];

  get parent(): string {
    return this.names.length > 1 ? this.names[this.names.length - 2] : '';
  }

  open(name: string): void {
    if (this.names.length >= MAX_DEPTH) throw new XmlError('nested too deeply');
    if (this.hasChildren.length > 0) this.hasChildren[this.hasChildren.length - 1] = true;
    this.names.push(name);
    this.hasChildren.push(false);
  }

  close(name: string, text: string, handler: XmlHandler): void {
    if (this.names[this.names.length - 1] !== name) throw new XmlError(`unexpected </${name.slice(0, 64)}>`);
    if (this.hasChildren.pop()) handler.close?.(name);
    else handler.leaf(name, decodeXmlText(text), this.parent);
    this.names.pop();
  }
}

/** Answers the root element's name. Throws XmlError on anything that is not one well-formed element. */
export function scanXml(xml: string, handler: XmlHandler): string {
  const nesting = new Nesting();
  let root = '';
  let position = xml.charCodeAt(0) === 0xfeff ? 1 : 0;
  let textFrom = position;
  for (;;) {
    const open = xml.indexOf('<', position);
    if (open < 0) break;
    const mark = xml.charCodeAt(open + 1);
    if (mark === 0x3f || mark === 0x21) {
      position = skipMarkup(xml, open);
      if (nesting.names.length === 0) textFrom = position;
      else if (xml.slice(textFrom, open).trim() !== '') throw new XmlError('markup inside text');
      else textFrom = position;
      continue;
    }
    const end = xml.indexOf('>', open);
    if (end < 0) throw new XmlError('unfinished tag');
    if (mark === 0x2f) {
      nesting.close(localName(xml.slice(open + 2, end)), xml.slice(textFrom, open), handler);
    } else {
      if (root !== '' && nesting.names.length === 0) throw new XmlError('more than one root');
      const empty = xml.charCodeAt(end - 1) === 0x2f;
      const name = localName(xml.slice(open + 1, empty ? end - 1 : end));
      if (root === '') root = name;
      nesting.open(name);
      if (empty) nesting.close(name, '', handler);
    }
    position = end + 1;
    textFrom = position;
  }
  if (nesting.names.length > 0 || root === '') throw new XmlError('the document ends early');
  return root;
}

const special = /[&<>"'\r\n\t]/g;
const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#13;',
  '\n': '&#10;',
  '\t': '&#9;',
};

/** A literal CR would be read as LF, and so name another key. */
export function escapeXml(text: string): string {
  return text.replace(special, (character) => escapes[character]);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML 1.0 cannot carry at all.
const unwritable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/u;

/** Whether XML 1.0 has a way to write this text. */
export function isXmlWritable(text: string): boolean {
  return !unwritable.test(text);
}
