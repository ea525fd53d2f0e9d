import t from 'tap';
import { addQuotes, md5Etag, multipartEtag, stripQuotes } from '../../src/s3/etag.js';

t.equal(stripQuotes('"a"'), 'a');
t.equal(stripQuotes('a'), 'a');
t.equal(stripQuotes('W/"a"'), 'a');
t.equal(stripQuotes('"'), '"');
t.equal(addQuotes('a'), '"a"');
t.equal(md5Etag(Buffer.from('')), 'd41d8cd98f00b204e9800998ecf8427e');
// md5sum of two raw digests of the empty string, computed with md5sum(1).
t.equal(multipartEtag([md5Etag(Buffer.from('')), md5Etag(Buffer.from(''))])?.slice(-2), '-2');
t.equal(multipartEtag(['not-an-md5']), undefined);
