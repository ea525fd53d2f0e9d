/* FUSE passthrough: files that the kernel may use instead of asking, and whether anybody else still has one open. */
#define _GNU_SOURCE
#include "pailfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

/* struct fuse_backing_map and its ioctls: linux/fuse.h since 6.9, which older headers do not have. */
struct backing_map {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};

#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

static napi_value answer(napi_env env, int result) { return pailfs_number(env, result < 0 ? -errno : result); }

napi_value pailfs_backing_open(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 2);
  int32_t device;
  struct backing_map map = {0};
  if (!pailfs_int32(env, argv[0], &device) || !pailfs_int32(env, argv[1], &map.fd)) return NULL;
  return answer(env, ioctl(device, BACKING_OPEN, &map));
}

napi_value pailfs_backing_close(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 2);
  int32_t device, id;
  if (!pailfs_int32(env, argv[0], &device) || !pailfs_int32(env, argv[1], &id)) return NULL;
  uint32_t number = (uint32_t)id;
  return answer(env, ioctl(device, BACKING_CLOSE, &number));
}

napi_value pailfs_only_opener(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 1);
  int32_t fd;
  if (!pailfs_int32(env, argv[0], &fd)) return NULL;
  /* Who opens it between the two calls breaks the lease; the signal for that must be one that is ignored. */
  if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
    return pailfs_number(env, errno == EAGAIN ? 0 : -errno);
  return answer(env, fcntl(fd, F_SETLEASE, F_UNLCK) < 0 ? -1 : 1);
}
