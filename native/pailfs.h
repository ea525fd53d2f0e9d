/*
 * Contract of the addon. It decides nothing: it makes the system calls that Node does not offer and hands their result
 * back. Every function returns its value, or a negative errno; none throws for what the system answers (only for
 * arguments of the wrong type, which is a bug of the caller: TypeError).
 *
 *   openDevice(path) -> fd                              open O_RDWR|O_CLOEXEC|O_NONBLOCK
 *   mount(source, target, fstype, flags, data, done)    mount(2) on the thread pool; done(0 or -errno)
 *   unmount(target, flags, done)                        umount2(2) on the thread pool: it writes dirty pages back through
 *                                                       the daemon, so the serving thread must not wait in it
 *   socketPair() -> [fd, fd]                            AF_UNIX stream, both close-on-exec
 *   receiveDescriptor(socket) -> fd                     one SCM_RIGHTS descriptor, without waiting; made close-on-exec
 *   setNonblocking(fd) -> 0
 *   read(fd, buffer) -> n                               one frame
 *   write(fd, buffer, length) -> n                      the first `length` bytes, in one write(2)
 *   writev(fd, head, headLength, pieces) -> n           head, then every piece, in one writev(2); at most 1023 pieces
 *   closeDescriptor(fd) -> 0
 *
 *   backingOpen(device, fd) -> id                       FUSE_DEV_IOC_BACKING_OPEN (Linux 6.9, CAP_SYS_ADMIN): the kernel may
 *                                                       use the file of `fd` for files of the mount
 *   backingClose(device, id) -> 0                       those that are open in it keep it
 *   onlyOpener(fd) -> 1 or 0                            whether nobody else has the file of `fd` open, mappings included
 *                                                       (a write lease could be had). `fd` must be open for writing.
 *
 *   pollOpen(fd, callback) -> watcher                   callback(status) in the main loop when readable or in error;
 *                                                       made stopped. status is 0 or a negative errno, after which the
 *                                                       watcher is stopped.
 *   pollStart(watcher), pollStop(watcher) -> 0
 *   pollClose(watcher)                                  for good; further calls answer -EBADF
 *
 *   notifierOpen(fd, capacity) -> notifier              a thread that write(2)s frames to fd, in order. `fd` must stay
 *                                                       open until notifierClose answered 0.
 *   notifierSend(notifier, frame) -> 0                  copies the frame; -EAGAIN when `capacity` frames wait
 *   notifierCounters(notifier, into)                    Float64Array(4): waiting, sent, absent (ENOENT: the kernel did not
 *                                                       have it), failed
 *   notifierClose(notifier, milliseconds) -> 0          drops what waits and joins; -ETIMEDOUT while the thread is stuck
 *                                                       in the kernel (call again once the connection is gone)
 *
 * Threads: everything runs on the thread that loaded the addon, except the notifier's write(2) and the two mount calls.
 * At the end of the environment watchers are closed and notifiers are joined (for at most a second: a thread that the
 * kernel holds is left to it).
 */
#ifndef PAILFS_H
#define PAILFS_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAILFS_ARGUMENTS(env, info, count)                                                                            \
  napi_value argv[count];                                                                                              \
  if (!pailfs_arguments(env, info, count, argv)) return NULL

/* Argument decoding: false after having thrown a TypeError. */
bool pailfs_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv);
bool pailfs_int32(napi_env env, napi_value value, int32_t *out);
bool pailfs_bytes(napi_env env, napi_value value, uint8_t **data, size_t *length);
/* A NUL-terminated copy that the caller frees. */
bool pailfs_string(napi_env env, napi_value value, char **out);
napi_value pailfs_number(napi_env env, int64_t value);

napi_value pailfs_backing_open(napi_env env, napi_callback_info info);
napi_value pailfs_backing_close(napi_env env, napi_callback_info info);
napi_value pailfs_only_opener(napi_env env, napi_callback_info info);

napi_value pailfs_poll_open(napi_env env, napi_callback_info info);
napi_value pailfs_poll_start(napi_env env, napi_callback_info info);
napi_value pailfs_poll_stop(napi_env env, napi_callback_info info);
napi_value pailfs_poll_close(napi_env env, napi_callback_info info);

napi_value pailfs_notifier_open(napi_env env, napi_callback_info info);
napi_value pailfs_notifier_send(napi_env env, napi_callback_info info);
napi_value pailfs_notifier_counters(napi_env env, napi_callback_info info);
napi_value pailfs_notifier_close(napi_env env, napi_callback_info info);

napi_value pailfs_mount(napi_env env, napi_callback_info info);
napi_value pailfs_unmount(napi_env env, napi_callback_info info);

#endif
