/**
 * Objects as the tools of the field write them, for one bucket that holds every dialect. What s3fs and rclone make was
 * seen of Debian's packages (scripts/interop.sh lets them make it anew, and compares); the others follow what their
 * documentation says: FSx for Lustre and S3 Files ("POSIX metadata"), DataSync and File Gateway, which are interoperable
 * with it, geesefs (--enable-perms, --enable-mtime, --enable-specials) and gcsfuse ("Symlink inodes", "Timestamps").
 */
import { readFileSync } from 'node:fs';
import { packageRoot } from '../../src/package.js';

/** What `ls` shows of a mount of them all: a heading, `total`, and a row each, for every directory. */
export const dialectTable = readFileSync(new URL('test/mount/dialects.txt', packageRoot), 'utf8');
export const DIALECT_LIST = 'LC_ALL=C TZ=UTC ls -ln --full-time';

/** The part of the table that is about a directory. */
export const tablePart = (directory: string): string =>
  new RegExp(`^${directory}:\\n(?:.* .*\\n)+`, 'm').exec(dialectTable)?.[0] ?? '';

export const tableRows = (directory: string): string[] => tablePart(directory).trimEnd().split('\n').slice(2);

export interface DialectObject {
  readonly key: string;
  readonly body?: string;
  readonly metadata?: Record<string, string>;
}

const xattr = encodeURIComponent(JSON.stringify({ 'user.colour': Buffer.from('green').toString('base64') }));

/** By the directory that they lie in. The date of `plain/` objects is that of the object. */
export const dialects: Readonly<Record<string, readonly DialectObject[]>> = {
  s3fs: [
    {
      key: 'file',
      body: 'hello\n',
      metadata: {
        ...{ mode: '33184', uid: '1000', gid: '1001', mtime: '1580702706.123456789', ctime: '1795920661' },
        ...{ atime: '1580702706.123456789', xattr },
      },
    },
    { key: 'link', body: 'file', metadata: { mode: '41471', uid: '0', gid: '0', mtime: '1580702706.5' } },
    { key: 'fifo', metadata: { mode: '4516', uid: '0', gid: '0', mtime: '1580702706' } },
    // Debian 12's writes the mode of a directory without its type.
    { key: 'dir/', metadata: { mode: '488', uid: '7', gid: '8', mtime: '1580702706', ctime: '1795920660' } },
    { key: 'typed-dir/', metadata: { mode: '16872', uid: '7', gid: '8', mtime: '1580702706.000000001' } },
  ],
  rclone: [
    { key: 'file', body: 'hello\n', metadata: { mtime: '1580702706.123456789' } },
    { key: 'trimmed', body: 'hello\n', metadata: { mtime: '1580702706.5' } },
    // What `rclone copy --metadata` makes of a local file.
    {
      key: 'with-metadata',
      body: 'hello\n',
      metadata: {
        ...{ mode: '100640', uid: '1000', gid: '1001', mtime: '1580702706.123456789' },
        ...{ atime: '2020-02-03T04:05:06.123456789Z', btime: '2026-11-29T02:50:35.735145982Z' },
      },
    },
    // A file to everybody but rclone: `--links` gives it that name.
    { key: 'link.rclonelink', body: 'file', metadata: { mtime: '1580702706.25' } },
  ],
  geesefs: [
    { key: 'file', body: 'hello\n', metadata: { mode: '33188', uid: '1000', gid: '1001', mtime: '1580702706' } },
    { key: 'octal', body: 'hello\n', metadata: { mode: '0100755', uid: '1000', gid: '1001', mtime: '1580702706' } },
    { key: 'link', metadata: { '--symlink-target': 'file', mtime: '1580702706' } },
    { key: 'link-escaped', metadata: { '--symlink-target': '100%25%20done', mtime: '1580702706' } },
    { key: 'null', metadata: { mode: '8630', uid: '0', gid: '0', rdev: '259', mtime: '1580702706' } },
    { key: 'dir/', metadata: { mode: '16832', uid: '1000', gid: '1001', mtime: '1580702706' } },
  ],
  gcsfuse: [
    { key: 'file', body: 'hello\n', metadata: { gcsfuse_mtime: '2020-02-03T04:05:06.123456789Z' } },
    { key: 'link', metadata: { gcsfuse_symlink_target: 'file', gcsfuse_mtime: '2020-02-03T04:05:06.5Z' } },
    {
      key: 'standard-link',
      body: 'file',
      metadata: { 'goog-reserved-file-is-symlink': 'true', gcsfuse_mtime: '2020-02-03T05:05:06+01:00' },
    },
  ],
  fsx: [
    {
      key: 'file',
      body: 'hello\n',
      metadata: {
        ...{ 'user-agent': 'aws-fsx-lustre', 'file-permissions': '0100664', 'file-owner': '500', 'file-group': '501' },
        ...{ 'file-mtime': '1580702706123456789ns', 'file-atime': '1580702706000000000ns' },
      },
    },
    {
      key: 'milliseconds',
      body: 'hello\n',
      metadata: { 'file-permissions': '0100600', 'file-owner': '0', 'file-group': '0', 'file-mtime': '1580702706123' },
    },
    {
      key: 'link',
      body: 'file',
      metadata: {
        'file-permissions': '0120777',
        'file-owner': '500',
        'file-group': '501',
        'file-mtime': '1580702706000',
      },
    },
    {
      key: 'dir/',
      metadata: {
        ...{ 'user-agent': 'aws-fsx-lustre', 'file-permissions': '0040750', 'file-owner': '500', 'file-group': '501' },
        ...{ 'file-mtime': '1580702706000000000ns', 'file-atime': '1580702706000000000ns' },
      },
    },
  ],
  datasync: [
    {
      key: 'file',
      body: 'hello\n',
      metadata: {
        ...{ 'user-agent': 'aws-datasync', 'file-permissions': '0644', 'file-owner': '65534', 'file-group': '65534' },
        ...{ 'file-mtime': '1580702706123456789ns', 'file-atime': '1580702706123456789ns' },
      },
    },
  ],
  gateway: [
    {
      key: 'file',
      body: 'hello\n',
      metadata: {
        ...{ 'user-agent': 'aws-storage-gateway', 'user-agent-id': 'sgw-12345678', 'file-permissions': '0755' },
        ...{ 'file-owner': '65534', 'file-group': '65533', 'file-mtime': '1580702706123456789ns' },
      },
    },
  ],
  's3-files': [
    {
      key: 'file',
      body: 'hello\n',
      metadata: {
        ...{ 'user-agent': 'aws-s3-files', 'fs-id': 'fs-0123456789abcdef0:1:3', 'file-permissions': '0100755' },
        ...{ 'file-owner': '1000', 'file-group': '1001', 'file-btime': '1580702706097665000ns' },
        ...{ 'file-mtime': '1580702706097672000ns' },
      },
    },
  ],
  // goofys, the console and `aws s3 cp` write none.
  plain: [{ key: 'file', body: 'hello\n' }],
  // Names of attributes with what is none in them.
  rubbish: [
    {
      key: 'file',
      body: 'hello\n',
      metadata: { mode: 'rw-r--r--', uid: 'root', gid: '-1', mtime: '1580702706', 'file-permissions': '0100999' },
    },
  ],
};
