/*
 * The few libuv functions that the addon calls, declared by hand. node-api-headers carries no uv.h, and node-gyp would
 * download it; these names and their signatures are stable for all of libuv 1.x, which every Node from 12 on has inside,
 * and the size of the handle is asked at run time, so a C compiler alone is enough to build.
 * Source: libuv 1.x include/uv.h.
 */
#ifndef PAILFS_UV_ABI_H
#define PAILFS_UV_ABI_H

#include <stddef.h>

struct uv_loop_s;
typedef struct pailfs_uv_handle pailfs_uv_handle; /* uv_handle_t and uv_poll_t: only ever a pointer here */

/* uv_handle_type: UV_UNKNOWN_HANDLE 0, ASYNC 1, CHECK 2, FS_EVENT 3, FS_POLL 4, HANDLE 5, IDLE 6, NAMED_PIPE 7, POLL 8 */
enum { PAILFS_UV_POLL = 8 };
/* uv_poll_event */
enum { PAILFS_UV_READABLE = 1 };

typedef void (*pailfs_uv_poll_cb)(pailfs_uv_handle *handle, int status, int events);
typedef void (*pailfs_uv_close_cb)(pailfs_uv_handle *handle);

size_t uv_handle_size(int type);
int uv_poll_init(struct uv_loop_s *loop, pailfs_uv_handle *handle, int fd);
int uv_poll_start(pailfs_uv_handle *handle, int events, pailfs_uv_poll_cb callback);
int uv_poll_stop(pailfs_uv_handle *handle);
void uv_close(pailfs_uv_handle *handle, pailfs_uv_close_cb callback);
void uv_handle_set_data(pailfs_uv_handle *handle, void *data);
void *uv_handle_get_data(const pailfs_uv_handle *handle);

#endif
