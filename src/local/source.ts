/** What is mounted: `s3://BUCKET/PREFIX`, or a bucket's bare name. */
import { exitCode } from '../exit-code.js';
import { StartupFailure } from '../startup-failure.js';

export interface Source {
  /** Name, or ARN of an access point. */
  readonly bucket: string;
  /** '' or with a trailing slash. */
  readonly prefix: string;
  /** As shown in /proc/mounts. */
  readonly url: string;
}

const accessPoint = /^(arn:[^/]+:accesspoint[/:][^/]+)(?:\/(.*))?$/;

export function parseSource(text: string): Source {
  const bare = text.replace(/^s3:\/\//, '');
  const arn = accessPoint.exec(bare);
  const slash = bare.indexOf('/');
  const bucket = arn?.[1] ?? (slash < 0 ? bare : bare.slice(0, slash));
  const rest = (arn ? (arn[2] ?? '') : slash < 0 ? '' : bare.slice(slash + 1)).replace(/\/+$/, '');
  if (/^[a-z0-9]+:\/\//i.test(bare) || !/^[A-Za-z0-9][A-Za-z0-9.\-_:/]+$/.test(bucket)) {
    throw new StartupFailure(exitCode.usage, `"${text}" is no bucket: write s3://BUCKET or s3://BUCKET/PREFIX`);
  }
  const prefix = rest === '' ? '' : `${rest}/`;
  return { bucket, prefix, url: `s3://${bucket}${rest === '' ? '' : `/${rest}`}` };
}
