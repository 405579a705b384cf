// SPDX-License-Identifier: Apache-2.0
// Preloaded: lets calls of the C library that change files beneath a folder fail.
//
// failing_disk_arm(folder, at, error, all): the at-th call (1 is the first) sets errno to `error`; if
// `all`, every one after it does, too; error 0: it writes half of the bytes. Returns nothing.
// failing_disk_count(): calls since then. Calls outside the folder are never touched.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[PATH_MAX];
static long fails_at, count;
static int code, every;

void failing_disk_arm(const char *path, long at, int error, int all) {
  count = 0;
  fails_at = at;
  code = error;
  every = all;
  snprintf(folder, sizeof folder, "%s", path);
}

long failing_disk_count(void) { return count; }

static int beneath(const char *path) {
  return folder[0] && path[0] == '/' && strncmp(path, folder, strlen(folder)) == 0;
}

static int fd_beneath(int fd) {
  char link[64], path[PATH_MAX];
  if (!folder[0]) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return beneath(path);
}

static int due(void) {
  ++count;
  return fails_at && (count == fails_at || (every && count > fails_at));
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE \
  do {         \
    errno = code; \
    return -1; \
  } while (0)

ssize_t write(int fd, const void *data, size_t size) {
  if (fd_beneath(fd) && due()) {
    if (code) REFUSE;
    size = size > 1 ? size / 2 : size;
  }
  return REAL(write)(fd, data, size);
}

#define PATH_CALL(name, path, parameters, arguments) \
  int name parameters {                              \
    if (beneath(path) && due() && code) REFUSE;      \
    return REAL(name) arguments;                     \
  }

PATH_CALL(rename, to, (const char *from, const char *to), (from, to))
PATH_CALL(mkdir, path, (const char *path, mode_t mode), (path, mode))
PATH_CALL(unlink, path, (const char *path), (path))
PATH_CALL(rmdir, path, (const char *path), (path))
PATH_CALL(link, to, (const char *from, const char *to), (from, to))
PATH_CALL(truncate, path, (const char *path, off_t size), (path, size))

int fsync(int fd) {
  if (fd_beneath(fd) && due() && code) REFUSE;
  return REAL(fsync)(fd);
}

int ftruncate(int fd, off_t size) {
  if (fd_beneath(fd) && due() && code) REFUSE;
  return REAL(ftruncate)(fd, size);
}

#define OPENS(name)                                                      \
  int name(const char *path, int flags, ...) {                           \
    va_list more;                                                        \
    va_start(more, flags);                                               \
    int mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, int) : 0;  \
    va_end(more);                                                        \
    if ((flags & O_CREAT) && beneath(path) && due() && code) REFUSE;     \
    return REAL(name)(path, flags, mode);                                \
  }

OPENS(open)
OPENS(open64)
