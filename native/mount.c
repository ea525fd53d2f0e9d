/* mount(2) and umount2(2) on libuv's thread pool: umount2 waits for writes that the daemon itself has to serve. */
#define _GNU_SOURCE
#include "pailfs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>

struct mount_call {
  napi_async_work work;
  napi_ref done;
  char *source, *target, *fstype, *data;
  unsigned long flags;
  bool unmount;
  int result;
};

static void free_call(napi_env env, struct mount_call *call) {
  if (call->done != NULL) napi_delete_reference(env, call->done);
  if (call->work != NULL) napi_delete_async_work(env, call->work);
  free(call->source);
  free(call->target);
  free(call->fstype);
  free(call->data);
  free(call);
}

static void execute(napi_env env, void *data) {
  (void)env;
  struct mount_call *call = data;
  int result = call->unmount ? umount2(call->target, (int)call->flags)
                             : mount(call->source, call->target, call->fstype, call->flags, call->data);
  call->result = result < 0 ? -errno : 0;
}

static void complete(napi_env env, napi_status status, void *data) {
  struct mount_call *call = data;
  napi_value done, receiver, result = pailfs_number(env, status == napi_ok ? call->result : -ECANCELED);
  napi_get_reference_value(env, call->done, &done);
  napi_get_undefined(env, &receiver);
  free_call(env, call);
  if (napi_call_function(env, receiver, done, 1, &result, NULL) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
}

static napi_value start(napi_env env, struct mount_call *call, napi_value done) {
  napi_value name;
  napi_create_string_utf8(env, "pailfs:mount", NAPI_AUTO_LENGTH, &name);
  if (napi_create_reference(env, done, 1, &call->done) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, call, &call->work) != napi_ok ||
      napi_queue_async_work(env, call->work) != napi_ok) {
    free_call(env, call);
    napi_throw_error(env, NULL, "cannot queue the mount call");
  }
  return NULL;
}

napi_value pailfs_mount(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 6);
  struct mount_call *call = calloc(1, sizeof *call);
  int32_t flags = 0;
  if (call == NULL || !pailfs_string(env, argv[0], &call->source) || !pailfs_string(env, argv[1], &call->target) ||
      !pailfs_string(env, argv[2], &call->fstype) || !pailfs_int32(env, argv[3], &flags) ||
      !pailfs_string(env, argv[4], &call->data)) {
    if (call != NULL) free_call(env, call);
    return NULL;
  }
  call->flags = (unsigned long)(uint32_t)flags;
  return start(env, call, argv[5]);
}

napi_value pailfs_unmount(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 3);
  struct mount_call *call = calloc(1, sizeof *call);
  int32_t flags = 0;
  if (call == NULL || !pailfs_string(env, argv[0], &call->target) || !pailfs_int32(env, argv[1], &flags)) {
    if (call != NULL) free_call(env, call);
    return NULL;
  }
  call->unmount = true;
  call->flags = (unsigned long)(uint32_t)flags;
  return start(env, call, argv[2]);
}
