/*
 * Watches one descriptor in the main loop. A watcher's memory has two owners, the JavaScript value and libuv; it is
 * freed by whichever lets go last.
 */
#include "pailfs.h"
#include "uv_abi.h"

#include <errno.h>
#include <stdlib.h>

struct watcher {
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  pailfs_uv_handle *handle;
  bool closing;    /* uv_close was called */
  bool closed;     /* libuv has let go */
  bool collected;  /* JavaScript has let go */
};

static void free_when_unowned(struct watcher *watcher) {
  if (watcher->closed && watcher->collected) {
    free(watcher->handle);
    free(watcher);
  }
}

static void on_closed(pailfs_uv_handle *handle) {
  struct watcher *watcher = uv_handle_get_data(handle);
  watcher->closed = true;
  if (watcher->hook != NULL) napi_remove_async_cleanup_hook(watcher->hook);
  watcher->hook = NULL;
  free_when_unowned(watcher);
}

static void close_watcher(struct watcher *watcher) {
  if (watcher->closing) return;
  watcher->closing = true;
  if (watcher->callback != NULL) napi_delete_reference(watcher->env, watcher->callback);
  watcher->callback = NULL;
  if (watcher->context != NULL) napi_async_destroy(watcher->env, watcher->context);
  watcher->context = NULL;
  uv_close(watcher->handle, on_closed);
}

/* The environment ends: Node waits until on_closed has removed the hook. */
static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  close_watcher(data);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct watcher *watcher = data;
  close_watcher(watcher);
  watcher->collected = true;
  free_when_unowned(watcher);
}

static void on_ready(pailfs_uv_handle *handle, int status, int events) {
  (void)events;
  struct watcher *watcher = uv_handle_get_data(handle);
  if (watcher->closing) return;
  napi_env env = watcher->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, receiver, argument = pailfs_number(env, status);
  napi_get_reference_value(env, watcher->callback, &callback);
  napi_get_global(env, &receiver);
  if (napi_make_callback(env, watcher->context, receiver, callback, 1, &argument, NULL) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

napi_value pailfs_poll_open(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 2);
  int32_t fd;
  struct uv_loop_s *loop;
  if (!pailfs_int32(env, argv[0], &fd)) return NULL;
  if (napi_get_uv_event_loop(env, (void *)&loop) != napi_ok) return pailfs_number(env, -ENOTSUP);
  struct watcher *watcher = calloc(1, sizeof *watcher);
  pailfs_uv_handle *handle = calloc(1, uv_handle_size(PAILFS_UV_POLL));
  int result = watcher == NULL || handle == NULL ? -ENOMEM : uv_poll_init(loop, handle, fd);
  if (result < 0) {
    free(watcher);
    free(handle);
    return pailfs_number(env, result);
  }
  watcher->env = env;
  watcher->handle = handle;
  uv_handle_set_data(handle, watcher);
  napi_value external, name;
  napi_create_string_utf8(env, "pailfs:poll", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(env, argv[1], 1, &watcher->callback);
  napi_async_init(env, NULL, name, &watcher->context);
  napi_add_async_cleanup_hook(env, on_environment_end, watcher, &watcher->hook);
  if (napi_create_external(env, watcher, on_collected, NULL, &external) != napi_ok) {
    watcher->collected = true;
    close_watcher(watcher);
    return pailfs_number(env, -ENOMEM);
  }
  return external;
}

static struct watcher *watcher_argument(napi_env env, napi_callback_info info) {
  napi_value argument;
  void *watcher = NULL;
  if (!pailfs_arguments(env, info, 1, &argument)) return NULL;
  if (napi_get_value_external(env, argument, &watcher) != napi_ok) napi_throw_type_error(env, NULL, "not a watcher");
  return watcher;
}

napi_value pailfs_poll_start(napi_env env, napi_callback_info info) {
  struct watcher *watcher = watcher_argument(env, info);
  if (watcher == NULL) return NULL;
  return pailfs_number(env, watcher->closing ? -EBADF : uv_poll_start(watcher->handle, PAILFS_UV_READABLE, on_ready));
}

napi_value pailfs_poll_stop(napi_env env, napi_callback_info info) {
  struct watcher *watcher = watcher_argument(env, info);
  if (watcher == NULL) return NULL;
  return pailfs_number(env, watcher->closing ? -EBADF : uv_poll_stop(watcher->handle));
}

napi_value pailfs_poll_close(napi_env env, napi_callback_info info) {
  struct watcher *watcher = watcher_argument(env, info);
  if (watcher == NULL) return NULL;
  if (watcher->closing) return pailfs_number(env, -EBADF);
  close_watcher(watcher);
  return pailfs_number(env, 0);
}
