/* LD_PRELOAD: calls on files below FAULTY_FOLDER fail as the file FAULTY_CONTROL says.

   The control file holds "<calls> <errno>", calls being "sync" (fsync, fdatasync) or "write" (pwrite, pwrite64, write,
   ftruncate, and sync as well); absent or empty, everything works. It is read at each call, so a test can lift the fault. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_faulty(int fd) {
    const char *folder = getenv("FAULTY_FOLDER");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!folder || length < 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int fault(int fd, const char *call) {
    char calls[16];
    int number = 0, before = errno;
    const char *control = getenv("FAULTY_CONTROL");
    FILE *file = control ? fopen(control, "r") : NULL;
    int given = file ? fscanf(file, "%15s %d", calls, &number) : 0;
    if (file) fclose(file);
    errno = before;
    if (given != 2 || (strcmp(calls, "write") && strcmp(calls, call)) || !is_faulty(fd)) return 0;
    errno = number;
    return 1;
}

#define REAL(name) dlsym(RTLD_NEXT, #name)

int fsync(int fd) { return fault(fd, "sync") ? -1 : ((int (*)(int))REAL(fsync))(fd); }
int fdatasync(int fd) { return fault(fd, "sync") ? -1 : ((int (*)(int))REAL(fdatasync))(fd); }
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) {
    return fault(fd, "write") ? -1 : ((ssize_t (*)(int, const void *, size_t, off_t))REAL(pwrite))(fd, data, count, at);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    return fault(fd, "write") ? -1 : ((ssize_t (*)(int, const void *, size_t, off64_t))REAL(pwrite64))(fd, data, count, at);
}
ssize_t write(int fd, const void *data, size_t count) {
    return fault(fd, "write") ? -1 : ((ssize_t (*)(int, const void *, size_t))REAL(write))(fd, data, count);
}
int ftruncate(int fd, off_t length) {
    return fault(fd, "write") ? -1 : ((int (*)(int, off_t))REAL(ftruncate))(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    return fault(fd, "write") ? -1 : ((int (*)(int, off64_t))REAL(ftruncate64))(fd, length);
}
