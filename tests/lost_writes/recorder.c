/* Loaded before a program (LD_PRELOAD): records its writes, renames and flushes below a folder, in order.

   LOST_WRITES_FOLDER  the folder;  LOST_WRITES_LOG  the file that receives the records
   A write to descriptor LOST_WRITES_MARK is a mark of the program's own: what it relies on from then on.
   A record: kind, length of the first path, of the second, of the data (uint32 each), offset (uint64), then these. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITE = 1, FLUSH, CREATE, RENAME, UNLINK, TRUNCATE, LINK, MKDIR, MARK, SYNC, SYMLINK };
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static int log_file(void) {
    static int descriptor = -1;
    const char *name = getenv("LOST_WRITES_LOG");
    if (descriptor < 0 && name) descriptor = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return descriptor;
}

static int ours(const char *path) {
    const char *folder = getenv("LOST_WRITES_FOLDER");
    return folder && path && !strncmp(path, folder, strlen(folder));
}

static const char *path_of(int descriptor, char *place) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, place, PATH_MAX - 1);
    place[length < 0 ? 0 : length] = 0;
    return place;
}

static void put(uint32_t kind, const char *a, const char *b, const void *data, uint32_t size, uint64_t offset) {
    int saved = errno, file = log_file();
    uint32_t head[4] = {kind, a ? strlen(a) : 0, b ? strlen(b) : 0, size};
    if (file < 0) return;
    pthread_mutex_lock(&turn);
    syscall(SYS_write, file, head, sizeof head);
    syscall(SYS_write, file, &offset, sizeof offset);
    if (a) syscall(SYS_write, file, a, head[1]);
    if (b) syscall(SYS_write, file, b, head[2]);
    if (size) syscall(SYS_write, file, data, size);
    pthread_mutex_unlock(&turn);
    errno = saved;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int is_ours = ours(path) && (flags & (O_CREAT | O_TRUNC)), fresh = is_ours && access(path, F_OK);
    int result = syscall(SYS_openat, folder, path, flags, mode);
    if (result >= 0 && is_ours && fresh) put(CREATE, path, 0, 0, 0, 0);
    else if (result >= 0 && is_ours && (flags & O_TRUNC)) put(TRUNCATE, path, 0, 0, 0, 0);
    return result;
}

#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list more; va_start(more, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more); return opened(AT_FDCWD, path, flags, mode); }
#define OPENAT(name) int name(int folder, const char *path, int flags, ...) { \
    va_list more; va_start(more, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more); return opened(folder, path, flags, mode); }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)

ssize_t write(int file, const void *data, size_t size) {
    char place[PATH_MAX];
    const char *mark = getenv("LOST_WRITES_MARK");
    if (mark && file == atoi(mark)) { put(MARK, 0, 0, data, size, 0); return size; }
    off_t offset = lseek(file, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_write, file, data, size);
    if (done > 0 && ours(path_of(file, place))) put(WRITE, place, 0, data, done, offset);
    return done;
}

static ssize_t written(int file, const void *data, size_t size, off_t offset) {
    char place[PATH_MAX];
    ssize_t done = syscall(SYS_pwrite64, file, data, size, offset);
    if (done > 0 && ours(path_of(file, place))) put(WRITE, place, 0, data, done, offset);
    return done;
}
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) { return written(file, data, size, offset); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) { return written(file, data, size, offset); }

static int shortened(int file, off_t size) {
    char place[PATH_MAX];
    int result = syscall(SYS_ftruncate, file, size);
    if (!result && ours(path_of(file, place))) put(TRUNCATE, place, 0, 0, 0, size);
    return result;
}
int ftruncate(int file, off_t size) { return shortened(file, size); }
int ftruncate64(int file, off64_t size) { return shortened(file, size); }

static int flushed(int file, int result) {
    char place[PATH_MAX];
    if (!result && ours(path_of(file, place))) put(FLUSH, place, 0, 0, 0, 0);
    return result;
}
int fsync(int file) { return flushed(file, syscall(SYS_fsync, file)); }
int fdatasync(int file) { return flushed(file, syscall(SYS_fdatasync, file)); }

int rename(const char *from, const char *to) {
    int result = NEXT(rename)(from, to);
    if (!result && ours(to)) put(RENAME, from, to, 0, 0, 0);
    return result;
}
int renameat(int a, const char *from, int b, const char *to) {
    int result = NEXT(renameat)(a, from, b, to);
    if (!result && ours(to)) put(RENAME, from, to, 0, 0, 0);
    return result;
}
int unlink(const char *path) {
    int result = NEXT(unlink)(path);
    if (!result && ours(path)) put(UNLINK, path, 0, 0, 0, 0);
    return result;
}
int unlinkat(int folder, const char *path, int flags) {
    int result = NEXT(unlinkat)(folder, path, flags);
    if (!result && ours(path)) put(UNLINK, path, 0, 0, 0, 0);
    return result;
}
int link(const char *from, const char *to) {
    int result = NEXT(link)(from, to);
    if (!result && ours(to)) put(LINK, from, to, 0, 0, 0);
    return result;
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    int result = NEXT(linkat)(a, from, b, to, flags);
    if (!result && ours(to)) put(LINK, from, to, 0, 0, 0);
    return result;
}
int symlink(const char *to, const char *path) {
    int result = NEXT(symlink)(to, path);
    if (!result && ours(path)) put(SYMLINK, path, to, 0, 0, 0);
    return result;
}
void sync(void) {
    syscall(SYS_sync);
    put(SYNC, 0, 0, 0, 0, 0);
}
int mkdir(const char *path, mode_t mode) {
    int result = NEXT(mkdir)(path, mode);
    if (!result && ours(path)) put(MKDIR, path, 0, 0, 0, 0);
    return result;
}
