/*
 * Notifications go out from a thread of their own: INVAL_ENTRY takes the directory's lock and INVAL_INODE waits for
 * pages that are being read, so that from the serving thread they could wait for an answer that only this thread gives.
 */
#define _GNU_SOURCE
#include "pailfs.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct frame {
  struct frame *next;
  size_t length;
  uint8_t bytes[];
};

struct notifier {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  pthread_t thread;
  int fd;
  /* Under `lock`. */
  struct frame *first, *last;
  uint32_t waiting, capacity;
  uint64_t sent, absent, failed;
  bool stopping;
  /* Main thread only. */
  bool joined;
};

static struct frame *next_frame(struct notifier *notifier) {
  pthread_mutex_lock(&notifier->lock);
  while (notifier->first == NULL && !notifier->stopping) pthread_cond_wait(&notifier->changed, &notifier->lock);
  struct frame *frame = notifier->stopping ? NULL : notifier->first;
  if (frame != NULL) notifier->first = frame->next;
  pthread_mutex_unlock(&notifier->lock);
  return frame;
}

static void *run(void *data) {
  struct notifier *notifier = data;
  struct frame *frame;
  while ((frame = next_frame(notifier)) != NULL) {
    ssize_t written;
    do written = write(notifier->fd, frame->bytes, frame->length);
    while (written < 0 && errno == EINTR);
    int error = written < 0 ? errno : 0;
    free(frame);
    pthread_mutex_lock(&notifier->lock);
    /* Counted as waiting until the kernel has answered, so that "nothing waits" means that all of it took effect. */
    notifier->waiting--;
    if (error == 0) notifier->sent++;
    else if (error == ENOENT) notifier->absent++;
    else notifier->failed++;
    pthread_mutex_unlock(&notifier->lock);
  }
  return NULL;
}

/* 0, or -ETIMEDOUT while the thread is inside the kernel. */
static int stop(struct notifier *notifier, int32_t milliseconds) {
  if (notifier->joined) return 0;
  pthread_mutex_lock(&notifier->lock);
  notifier->stopping = true;
  pthread_cond_broadcast(&notifier->changed);
  pthread_mutex_unlock(&notifier->lock);
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += milliseconds / 1000;
  until.tv_nsec += (long)(milliseconds % 1000) * 1000000L;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_sec += 1;
    until.tv_nsec -= 1000000000L;
  }
  int result = pthread_timedjoin_np(notifier->thread, NULL, &until);
  if (result != 0) return -result;
  notifier->joined = true;
  for (struct frame *frame = notifier->first; frame != NULL;) {
    struct frame *next = frame->next;
    free(frame);
    frame = next;
  }
  notifier->first = NULL;
  notifier->waiting = 0;
  return 0;
}

static void on_environment_end(void *data) { stop(data, 1000); }

static void on_collected(napi_env env, void *data, void *hint) {
  (void)hint;
  struct notifier *notifier = data;
  napi_remove_env_cleanup_hook(env, on_environment_end, notifier);
  /* A thread that is stuck in the kernel still uses the memory: it is left to it. */
  if (stop(notifier, 1000) != 0) return;
  pthread_cond_destroy(&notifier->changed);
  pthread_mutex_destroy(&notifier->lock);
  free(notifier);
}

static int start_thread(struct notifier *notifier) {
  sigset_t all, before;
  sigfillset(&all);
  /* Signals are the main thread's. */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int result = pthread_create(&notifier->thread, NULL, run, notifier);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -result;
}

napi_value pailfs_notifier_open(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 2);
  int32_t fd, capacity;
  if (!pailfs_int32(env, argv[0], &fd) || !pailfs_int32(env, argv[1], &capacity)) return NULL;
  struct notifier *notifier = calloc(1, sizeof *notifier);
  if (notifier == NULL) return pailfs_number(env, -ENOMEM);
  notifier->fd = fd;
  notifier->capacity = (uint32_t)capacity;
  pthread_mutex_init(&notifier->lock, NULL);
  pthread_cond_init(&notifier->changed, NULL);
  int result = start_thread(notifier);
  if (result < 0) {
    free(notifier);
    return pailfs_number(env, result);
  }
  napi_value external;
  napi_add_env_cleanup_hook(env, on_environment_end, notifier);
  if (napi_create_external(env, notifier, on_collected, NULL, &external) != napi_ok) {
    on_collected(env, notifier, NULL);
    return pailfs_number(env, -ENOMEM);
  }
  return external;
}

static struct notifier *notifier_argument(napi_env env, napi_value argument) {
  void *notifier = NULL;
  if (napi_get_value_external(env, argument, &notifier) != napi_ok) napi_throw_type_error(env, NULL, "not a notifier");
  return notifier;
}

napi_value pailfs_notifier_send(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 2);
  struct notifier *notifier = notifier_argument(env, argv[0]);
  uint8_t *bytes;
  size_t length;
  if (notifier == NULL || !pailfs_bytes(env, argv[1], &bytes, &length)) return NULL;
  struct frame *frame = malloc(sizeof *frame + length);
  if (frame == NULL) return pailfs_number(env, -ENOMEM);
  frame->next = NULL;
  frame->length = length;
  memcpy(frame->bytes, bytes, length);
  int result = 0;
  pthread_mutex_lock(&notifier->lock);
  if (notifier->stopping) result = -EBADF;
  else if (notifier->waiting >= notifier->capacity) result = -EAGAIN;
  else {
    if (notifier->first == NULL) notifier->first = frame;
    else notifier->last->next = frame;
    notifier->last = frame;
    notifier->waiting++;
    pthread_cond_signal(&notifier->changed);
  }
  pthread_mutex_unlock(&notifier->lock);
  if (result < 0) free(frame);
  return pailfs_number(env, result);
}

napi_value pailfs_notifier_counters(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 2);
  struct notifier *notifier = notifier_argument(env, argv[0]);
  uint8_t *bytes;
  size_t length;
  if (notifier == NULL || !pailfs_bytes(env, argv[1], &bytes, &length)) return NULL;
  if (length < 4 * sizeof(double)) return pailfs_number(env, -EINVAL);
  pthread_mutex_lock(&notifier->lock);
  double counters[4] = {notifier->waiting, (double)notifier->sent, (double)notifier->absent, (double)notifier->failed};
  pthread_mutex_unlock(&notifier->lock);
  memcpy(bytes, counters, sizeof counters);
  return pailfs_number(env, 0);
}

napi_value pailfs_notifier_close(napi_env env, napi_callback_info info) {
  PAILFS_ARGUMENTS(env, info, 2);
  struct notifier *notifier = notifier_argument(env, argv[0]);
  int32_t milliseconds;
  if (notifier == NULL || !pailfs_int32(env, argv[1], &milliseconds)) return NULL;
  return pailfs_number(env, stop(notifier, milliseconds));
}
