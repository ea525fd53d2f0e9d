/**
 * The little XML that S3 speaks: documents written as text, and a reader for the four request documents. The reader is
 * our own because keys need exactness that a general parser does not promise (leading spaces, `&#13;`, line ends).
 */
import { Failure } from './failure.js';

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';
const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

// biome-ignore lint/suspicious/noControlCharactersInRegex: keys may contain them, and S3 writes them as references.
const special = /[&<>"\u0000-\u001f\u007f]/;

export function escapeXml(text: string): string {
  if (!special.test(text)) return text;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
  return text.replace(/[&<>"\u0000-\u001f\u007f]/g, (character) => {
    if (character === '&') return '&amp;';
    if (character === '<') return '&lt;';
    if (character === '>') return '&gt;';
    if (character === '"') return '&quot;';
    return `&#x${character.charCodeAt(0).toString(16)};`;
  });
}

export function element(name: string, text: string | number | boolean): string {
  return `<${name}>${typeof text === 'string' ? escapeXml(text) : text}</${name}>`;
}

/** Empty when there is no value. */
export function optional(name: string, text: string | number | undefined): string {
  return text === undefined ? '' : element(name, text);
}

export function xmlDocument(root: string, content: string): string {
  return `${DECLARATION}<${root} xmlns="${NAMESPACE}">${content}</${root}>`;
}

/** As AWS writes it: without namespace. */
export function errorDocument(fields: Readonly<Record<string, string>>, lead = ''): string {
  const content = Object.entries(fields)
    .map(([name, text]) => element(name, text))
    .join('');
  return `${DECLARATION}${lead}<Error>${content}</Error>`;
}

export interface XmlNode {
  readonly name: string;
  readonly children: XmlNode[];
  text: string;
}

const token = /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)([^\s<>/!?]+)([^<>]*?)(\/?)>|([^<]+)/gy;

/** The root element. Anything that is not well-formed is MalformedXML. */
export function parseXml(source: string): XmlNode {
  const malformed = () => new Failure('MalformedXML');
  const top: XmlNode = { name: '', children: [], text: '' };
  const stack = [top];
  // Line ends become LF before anything else (XML 1.0, 2.11); only a reference gives a CR.
  const text = source.replace(/\r\n?/g, '\n');
  let end = 0;
  for (const match of text.matchAll(token)) {
    end = match.index + match[0].length;
    const current = stack.at(-1)!;
    if (match[6] !== undefined) current.text += unescapeXml(match[6]);
    else if (match[1] !== undefined) current.text += match[1];
    else if (match[3] !== undefined) {
      const name = match[3].replace(/^.*:/, '');
      if (match[2]) {
        if (current.name !== name || stack.length === 1) throw malformed();
        stack.pop();
      } else {
        const node: XmlNode = { name, children: [], text: '' };
        current.children.push(node);
        if (!match[5]) stack.push(node);
      }
    }
  }
  if (end !== text.length || stack.length !== 1 || top.children.length !== 1) throw malformed();
  return top.children[0]!;
}

function unescapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: literal control characters are not XML.
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text)) throw new Failure('MalformedXML');
  if (!text.includes('&')) return text;
  return text.replace(/&([^;&]*);?/g, (whole, name: string) => {
    const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }[name];
    if (named !== undefined && whole.endsWith(';')) return named;
    const number = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(name);
    const point = number ? Number.parseInt(number[1] ?? number[2]!, number[1] ? 16 : 10) : -1;
    // References to control characters other than tab, LF and CR are no XML either: AWS answers 400.
    if (point > 0x10ffff || point < 9 || (point < 32 && point > 10 && point !== 13)) throw new Failure('MalformedXML');
    return String.fromCodePoint(point);
  });
}

export function childrenOf(node: XmlNode, name: string): XmlNode[] {
  return node.children.filter((child) => child.name === name);
}

export function textOf(node: XmlNode, name: string): string | undefined {
  return node.children.find((child) => child.name === name)?.text;
}
