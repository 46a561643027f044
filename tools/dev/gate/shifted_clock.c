/* Preloaded: the wall clock of a process, and of what it starts, stands LFR_CLOCK_SHIFT_S seconds from the real one.
 *
 * Monotonic clocks stay as they are, so that waits and deadlines do. The times of files are shifted too, as they would
 * be on a machine whose clock is so; waits for a moment of the wall clock are shifted back.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

static long long shift_s;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("LFR_CLOCK_SHIFT_S");
    shift_s = text ? atoll(text) : 0;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

int clock_gettime(clockid_t clock, struct timespec *out) {
    REAL(clock_gettime);
    int status = real(clock, out);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += shift_s;
    return status;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int sem_timedwait(sem_t *restrict waited, const struct timespec *restrict until) {
    REAL(sem_timedwait);
    struct timespec moved = {until->tv_sec - shift_s, until->tv_nsec};
    return real(waited, &moved);
}

/* Programs call stat or stat64, which are the same on 64-bit machines. */
#define FILE_TIMES(suffix)                                                                                             \
    static int shifted##suffix(int status, struct stat##suffix *file) {                                                \
        if (status == 0) {                                                                                             \
            file->st_atim.tv_sec += shift_s;                                                                           \
            file->st_mtim.tv_sec += shift_s;                                                                           \
            file->st_ctim.tv_sec += shift_s;                                                                           \
        }                                                                                                              \
        return status;                                                                                                 \
    }                                                                                                                  \
    int stat##suffix(const char *restrict path, struct stat##suffix *restrict out) {                                   \
        REAL(stat##suffix);                                                                                            \
        return shifted##suffix(real(path, out), out);                                                                  \
    }                                                                                                                  \
    int lstat##suffix(const char *restrict path, struct stat##suffix *restrict out) {                                  \
        REAL(lstat##suffix);                                                                                           \
        return shifted##suffix(real(path, out), out);                                                                  \
    }                                                                                                                  \
    int fstat##suffix(int file, struct stat##suffix *out) {                                                            \
        REAL(fstat##suffix);                                                                                           \
        return shifted##suffix(real(file, out), out);                                                                  \
    }                                                                                                                  \
    int fstatat##suffix(int folder, const char *restrict path, struct stat##suffix *restrict out, int flags) {         \
        REAL(fstatat##suffix);                                                                                         \
        return shifted##suffix(real(folder, path, out, flags), out);                                                   \
    }

FILE_TIMES()
FILE_TIMES(64)

static const struct timespec *unshifted(const struct timespec times[2], struct timespec moved[2]) {
    if (!times) return NULL;
    for (int n = 0; n < 2; n++) {
        moved[n] = times[n];
        if (times[n].tv_nsec != UTIME_NOW && times[n].tv_nsec != UTIME_OMIT) moved[n].tv_sec -= shift_s;
    }
    return moved;
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    REAL(utimensat);
    struct timespec moved[2];
    return real(folder, path, unshifted(times, moved), flags);
}

int futimens(int file, const struct timespec times[2]) {
    REAL(futimens);
    struct timespec moved[2];
    return real(file, unshifted(times, moved));
}
