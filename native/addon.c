/* Node-API glue: argument decoding, the descriptor calls, and the table of exports. See pailfs.h for the contract. */
#define _GNU_SOURCE
#include "pailfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_PIECES = 1023 };

bool pailfs_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, argv, NULL, NULL) == napi_ok && given >= count) return true;
  napi_throw_type_error(env, NULL, "too few arguments");
  return false;
}

bool pailfs_int32(napi_env env, napi_value value, int32_t *out) {
  if (napi_get_value_int32(env, value, out) == napi_ok) return true;
  napi_throw_type_error(env, NULL, "an integer was expected");
  return false;
}

bool pailfs_bytes(napi_env env, napi_value value, uint8_t **data, size_t *length) {
  if (napi_get_buffer_info(env, value, (void **)data, length) == napi_ok) return true;
  napi_throw_type_error(env, NULL, "a Buffer was expected");
  return false;
}

bool pailfs_string(napi_env env, napi_value value, char **out) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "a string was expected");
    return false;
  }
  *out = malloc(length + 1);
  if (*out == NULL) {
    napi_throw_error(env, NULL, "out of memory");
    return false;
  }
  napi_get_value_string_utf8(env, value, *out, length + 1, &length);
  return true;
}

napi_value pailfs_number(napi_env env, int64_t value) {
  napi_value result;
  if (value >= INT32_MIN && value <= INT32_MAX) napi_create_int32(env, (int32_t)value, &result);
  else napi_create_int64(env, value, &result);
  return result;
}

static napi_value result_of(napi_env env, ssize_t result) { return pailfs_number(env, result < 0 ? -errno : result); }

static napi_value open_device(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 1);
  char *path;
  if (!pailfs_string(env, argv[0], &path)) return NULL;
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  int error = errno;
  free(path);
  errno = error;
  return result_of(env, fd);
}

static napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0) return pailfs_number(env, -errno);
  napi_value result;
  napi_create_array_with_length(env, 2, &result);
  for (uint32_t i = 0; i < 2; i++) napi_set_element(env, result, i, pailfs_number(env, sockets[i]));
  return result;
}

static napi_value receive_descriptor(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 1);
  int32_t socket;
  if (!pailfs_int32(env, argv[0], &socket)) return NULL;
  char byte;
  struct iovec payload = {&byte, 1};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {
      .msg_iov = &payload, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t received = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received < 0) return pailfs_number(env, -errno);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
    return pailfs_number(env, -ENODATA);
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return pailfs_number(env, fd);
}

static napi_value set_nonblocking(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 1);
  int32_t fd;
  if (!pailfs_int32(env, argv[0], &fd)) return NULL;
  int flags = fcntl(fd, F_GETFL);
  return result_of(env, flags < 0 ? flags : fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

static napi_value close_descriptor(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 1);
  int32_t fd;
  if (!pailfs_int32(env, argv[0], &fd)) return NULL;
  return result_of(env, close(fd));
}

static napi_value read_frame(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 2);
  int32_t fd;
  uint8_t *bytes;
  size_t length;
  if (!pailfs_int32(env, argv[0], &fd) || !pailfs_bytes(env, argv[1], &bytes, &length)) return NULL;
  return result_of(env, read(fd, bytes, length));
}

static napi_value write_frame(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 3);
  int32_t fd, count;
  uint8_t *bytes;
  size_t length;
  if (!pailfs_int32(env, argv[0], &fd) || !pailfs_bytes(env, argv[1], &bytes, &length) ||
      !pailfs_int32(env, argv[2], &count))
    return NULL;
  if (count < 0 || (size_t)count > length) return pailfs_number(env, -EINVAL);
  return result_of(env, write(fd, bytes, (size_t)count));
}

static napi_value write_pieces(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 4);
  int32_t fd, head;
  uint32_t pieces;
  struct iovec vector[MAX_PIECES + 1];
  uint8_t *bytes;
  size_t length;
  if (!pailfs_int32(env, argv[0], &fd) || !pailfs_bytes(env, argv[1], &bytes, &length) ||
      !pailfs_int32(env, argv[2], &head))
    return NULL;
  if (napi_get_array_length(env, argv[3], &pieces) != napi_ok || pieces > MAX_PIECES) return pailfs_number(env, -EINVAL);
  if (head < 0 || (size_t)head > length) return pailfs_number(env, -EINVAL);
  vector[0] = (struct iovec){bytes, (size_t)head};
  for (uint32_t i = 0; i < pieces; i++) {
    napi_value piece;
    if (napi_get_element(env, argv[3], i, &piece) != napi_ok || !pailfs_bytes(env, piece, &bytes, &length)) return NULL;
    vector[i + 1] = (struct iovec){bytes, length};
  }
  return result_of(env, writev(fd, vector, (int)pieces + 1));
}

#define EXPORT(name, function) {name, NULL, function, NULL, NULL, NULL, napi_enumerable, NULL}

NAPI_MODULE_INIT() {
  const napi_property_descriptor properties[] = {
      EXPORT("openDevice", open_device),
      EXPORT("mount", pailfs_mount),
      EXPORT("unmount", pailfs_unmount),
      EXPORT("socketPair", socket_pair),
      EXPORT("receiveDescriptor", receive_descriptor),
      EXPORT("setNonblocking", set_nonblocking),
      EXPORT("closeDescriptor", close_descriptor),
      EXPORT("read", read_frame),
      EXPORT("write", write_frame),
      EXPORT("writev", write_pieces),
      EXPORT("backingOpen", pailfs_backing_open),
      EXPORT("backingClose", pailfs_backing_close),
      EXPORT("onlyOpener", pailfs_only_opener),
      EXPORT("pollOpen", pailfs_poll_open),
      EXPORT("pollStart", pailfs_poll_start),
      EXPORT("pollStop", pailfs_poll_stop),
      EXPORT("pollClose", pailfs_poll_close),
      EXPORT("notifierOpen", pailfs_notifier_open),
      EXPORT("notifierSend", pailfs_notifier_send),
      EXPORT("notifierCounters", pailfs_notifier_counters),
      EXPORT("notifierClose", pailfs_notifier_close),
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
  return exports;
}
