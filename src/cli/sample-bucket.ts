/**
 * The sample bucket of the demo: text, a picture, nested prefixes, and some megabytes that are the same each time. The
 * picture is a real JPEG of 160 by 100 points.
 */
import { createCipheriv } from 'node:crypto';

const picture = Buffer.from(
  [
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKB',
    'TmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8',
    'fHz/wAARCABkAKADASIAAhEBAxEB/8QAGgABAAIDAQAAAAAAAAAAAAAAAAIFAQMEBv/EADYQAAICAQEGBAMGBQUAAAAAAAABAhEDBAUV',
    'MWSj4RIhQWETFFEGIjJxsdFzgpHB8CMkQlKh/8QAGQEBAAMBAQAAAAAAAAAAAAAAAAEDBAIF/8QAJBEAAgICAQQCAwEAAAAAAAAAAAEC',
    'EQMSEwQhMVFBYRSB8PH/2gAMAwEAAhEDEQA/ALWhROhRssxUQoUToULFEKFE6FCxRChROhQsUQoUTo5NZr8elfgpzyf9U+H5nLkoq2KO',
    'ihRST2nqZO1KMPaMf3JYtqaiD++45F7qv0KvyIk0XNCjVpNZj1afhuM1xizoouUk1aIohQonROMFxZVmzRxR2kdwxubpGmhR0kJQ9UZs',
    'PXRyS1aoun07irTs00KJ0KN9majZQonQo4s7ohQonQoWKIUKJ0KFiiFCidChYo49fn+W0spr8T+7H8zzbbk25NtvzbfqXG31Xy/839im',
    'MeaTcqIAAKQSx5JYpqcJOMo8Gj0+nyx1GCGWPCS4fR+p5Yv9hL/Zz/iP9EX4JNOgd9EjNCjjrcUskU4/BpwTUW0/kwHwFGaPPwYJzmu3',
    'Y05MkYxIUKJ0KPes86idCidCjmzqiFCidChYohQonQoWKIUKJ0KFiiv2rpPmdJLwq8kPvR8vN/Vf57HmD29FXtDY0dTN5cEljyP8SfCT',
    '+vsUZIbd0Q0ecBu1Okz6SUVnxuDkrXmnf9Cel0Oo1lvDC4p05N0kZ6d0RTOeMXKSjFNtukl6nrNFpVpdNDEqtK5Ner9TTs7ZUNG/iTay',
    'ZmuNeUfy/csKNOOGvdkpEKFE6FF1k0QoUToULFEKFE6FCxRsoUVG/wDlup2G/wDlup2KeWPsnaJb0KKjf/LdTsN/8t1Ow5Y+xtEt6FFR',
    'v/lup2G/+W6nYcsfY2iW9Cio3/y3U7Df/LdTsOWPsbRLehRUb/5bqdhv/lup2HLH2Nomj7TKvlv5v7HR9nFegyfxX+iKza+v+e+D/pfD',
    '8Hi/5Xd17exs2VtP5LTSx/B8dzcr8Vei9vYpU1yWaG1xJnpaFFRv/lup2G/+W6nYu5Y+zPtEt6FFRv8A5bqdhv8A5bqdhyx9jaJb0KKj',
    'f/LdTsN/8t1Ow5Y+xtEt6FFRv/lup2G/+W6nYcsfY2iUoAMZSlbpAHXj2fPJopan4iVJtRr0Xv8A1ORcCE0/BpzdNLFG27+P2AASZQAd',
    'Gj0WbW5HDCl5K3J8ET5JSs5wdet2dn0PheVRcZcJR81f0OQNUGmvJDJBzqq8jOOLjGn9SQIO+R66/AAAKwOB0aOOOWeKzOoN+bJ6+GCG',
    'WsDTjS4O0mXrEtfur+v9NS6e8e9nIACgygAAAAAGVOag4KclBu3G/JmAAXZM2TIkpOzMYuclGKtt0i0jsmPwrlOXjrza4WVkJOE4zXGL',
    'TVlxDaeH4Xm2nX4atlOVz7aneBY3e5UZccsOSWOfFfQudg58bwZNL4vDllJyjfqqX7FPnyvPmlkarxehrLo+O5UpayuJ6LbGaGDQS085',
    'XlyU1FeitO//AA86AT9Iic3N2AAQcAAABOuBltviYB1s6q+x1s6q+wMWZOzFrcUNnT07xNzdq/Knfr/n0OG2vBs6XBDLe399nGAuAJMc',
    '0oyaTsAAHIAAAAAAAAAAAAAAAAAAAAAAAAAAB//Z',
  ].join(''),
  'base64',
);

const MiB = 1024 * 1024;

/** Bytes that do not compress and are the same for the same seed. */
function noise(bytes: number, seed: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

const readme = `This directory is an S3 bucket.

Every file is one object, every directory a prefix, and every other S3 tool sees the same.
What you write here is uploaded when the file is closed.
`;

const planting = `month,what,where
march,peas,bed 1
april,carrots,bed 2
may,tomatoes,greenhouse
june,beans,bed 1
`;

export interface SampleObject {
  readonly key: string;
  readonly body: Buffer;
  readonly contentType: string;
}

export function sampleObjects(): SampleObject[] {
  const text = (key: string, body: string): SampleObject => ({
    key,
    body: Buffer.from(body),
    contentType: 'text/plain',
  });
  const diary = [1, 2, 3, 4, 5, 6].map((month) =>
    text(`notes/2026/0${month}/diary.txt`, `Month ${month}.\n${'It rained, and the garden grew.\n'.repeat(month * 4)}`),
  );
  return [
    text('README.txt', readme),
    { key: 'notes/planting.csv', body: Buffer.from(planting), contentType: 'text/csv' },
    ...diary,
    { key: 'photos/mygarden.jpg', body: picture, contentType: 'image/jpeg' },
    { key: 'photos/archive/2025/mygarden.jpg', body: picture, contentType: 'image/jpeg' },
    { key: 'data/small.bin', body: noise(64 * 1024, 1), contentType: 'application/octet-stream' },
    { key: 'data/measurements.bin', body: noise(5 * MiB, 2), contentType: 'application/octet-stream' },
    { key: 'data/deep/er/and/deeper/still.txt', body: Buffer.from('down here\n'), contentType: 'text/plain' },
  ];
}
