/**
 * Linux errno numbers. The operations answer a failure as a negative errno, the way the kernel does on the wire, so
 * that the frequent ones (ENOENT, EEXIST) cost no exception. Source: asm-generic/errno-base.h and errno.h.
 */
export const errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EREMOTEIO: 121,
  EPROTO: 71,
  EOVERFLOW: 75,
  EILSEQ: 84,
  EOPNOTSUPP: 95,
  ETIMEDOUT: 110,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
} as const;

export type ErrnoName = keyof typeof errno;

/** A failed operation: the negated number of `errno`. Success is never negative. */
export type Failure = number;

const names = new Map<number, ErrnoName>(Object.entries(errno).map(([name, number]) => [number, name as ErrnoName]));

/** The symbolic name of an errno of either sign, for logs. */
export function errnoName(number: number): string {
  return names.get(Math.abs(number)) ?? `errno ${Math.abs(number)}`;
}
