/* Fails, or kills the process at, the n-th change of a file below a folder.
 *
 * Loaded by LD_PRELOAD in front of libc, so that Python, SQLite, safetensors, tokenizers and FFmpeg
 * meet the same disk. `faults_arm` says where and when; until then all calls pass.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, FAIL_ONCE, FULL, KILL, KILL_HALF_WAY };
enum { KEEPS_ROOM = 'k', TAKES_ROOM = 't', WRITES = 'w', REMOVES = 'r' };

static char below[PATH_MAX];
static long strike_at;
static int mode, number;
static struct {
    long changes;
    char kinds[1 << 16]; /* of the changes, ended by 0 */
    char struck[PATH_MAX];
} *seen; /* shared with forks: whoever forked one sees what it did */

__attribute__((constructor)) static void share(void) {
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void faults_arm(const char *folder, long at, int how, int error) {
    snprintf(below, sizeof below, "%s/", folder);
    strike_at = at, mode = how, number = error;
    memset(seen, 0, sizeof *seen);
}

void faults_disarm(void) { below[0] = 0; }

const char *faults_changes(void) { return seen->kinds; }

const char *faults_struck(void) { return seen->struck; }

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Whether a change fails: of a full disk what takes room; never a removal, which loses nothing. */
static int strikes(const char *call, const char *path, int kind) {
    if (!below[0] || strncmp(path, below, strlen(below))) return 0;
    long now = __sync_add_and_fetch(&seen->changes, 1);
    if (now < (long)sizeof seen->kinds) seen->kinds[now - 1] = kind;
    int fails = (mode == FAIL_ONCE && now == strike_at && kind != REMOVES) ||
                (mode == FULL && now >= strike_at && (kind == TAKES_ROOM || kind == WRITES));
    int dies = (mode == KILL || mode == KILL_HALF_WAY) && now == strike_at;
    if ((fails || dies) && !seen->struck[0])
        snprintf(seen->struck, PATH_MAX, "%s %s", call, path + strlen(below));
    if (dies && mode == KILL) kill(getpid(), SIGKILL);
    if (fails) errno = number;
    return fails;
}

static const char *path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int saved = errno;
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    errno = saved;
    return path;
}

static const char *path_at(int folder, const char *name, char *path) {
    if (name[0] == '/') return name;
    char parent[PATH_MAX] = "";
    if (folder != AT_FDCWD)
        path_of(folder, parent);
    else if (!getcwd(parent, sizeof parent))
        return "";
    if (snprintf(path, PATH_MAX, "%s/%s", parent, name) >= PATH_MAX) return "";
    return path;
}

static int strikes_at(const char *call, int folder, const char *name, int kind) {
    char path[PATH_MAX];
    return below[0] && strikes(call, path_at(folder, name, path), kind);
}

static int strikes_descriptor(const char *call, int descriptor, int kind) {
    char path[PATH_MAX];
    return below[0] && strikes(call, path_of(descriptor, path), kind);
}

/* A write that the process does not survive is done by half. */
static size_t half_of(int descriptor, size_t length) {
    char path[PATH_MAX];
    if (!below[0] || mode != KILL_HALF_WAY) return 0;
    path_of(descriptor, path);
    return !strncmp(path, below, strlen(below)) && seen->changes == strike_at ? length / 2 + 1 : 0;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t rights = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        int kind = flags & O_CREAT ? TAKES_ROOM : KEEPS_ROOM; \
        if (flags & (O_CREAT | O_TRUNC) && strikes_at(#name, AT_FDCWD, path, kind)) return -1; \
        return REAL(name)(path, flags, rights); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t rights = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        int kind = flags & O_CREAT ? TAKES_ROOM : KEEPS_ROOM; \
        if (flags & (O_CREAT | O_TRUNC) && strikes_at(#name, folder, path, kind)) return -1; \
        return REAL(name)(folder, path, flags, rights); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int descriptor, const void *bytes, size_t length) {
    if (strikes_descriptor(__func__, descriptor, WRITES)) return -1;
    size_t half = half_of(descriptor, length);
    if (half) REAL(write)(descriptor, bytes, half), kill(getpid(), SIGKILL);
    return REAL(write)(descriptor, bytes, length);
}

#define PWRITE(name, offset_type) \
    ssize_t name(int descriptor, const void *bytes, size_t length, offset_type at) { \
        if (strikes_descriptor(__func__, descriptor, WRITES)) return -1; \
        size_t half = half_of(descriptor, length); \
        if (half) REAL(name)(descriptor, bytes, half, at), kill(getpid(), SIGKILL); \
        return REAL(name)(descriptor, bytes, length, at); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int descriptor, const struct iovec *parts, int num) {
    if (strikes_descriptor(__func__, descriptor, TAKES_ROOM)) return -1;
    return REAL(writev)(descriptor, parts, num);
}

#define ON_DESCRIPTOR(name, kind, declared, given) \
    int name declared { \
        return strikes_descriptor(#name, descriptor, kind) ? -1 : REAL(name) given; \
    }
ON_DESCRIPTOR(fsync, KEEPS_ROOM, (int descriptor), (descriptor))
ON_DESCRIPTOR(fdatasync, KEEPS_ROOM, (int descriptor), (descriptor))
ON_DESCRIPTOR(ftruncate, TAKES_ROOM, (int descriptor, off_t length), (descriptor, length))
ON_DESCRIPTOR(ftruncate64, TAKES_ROOM, (int descriptor, off64_t length), (descriptor, length))
ON_DESCRIPTOR(fallocate, TAKES_ROOM, (int descriptor, int how, off_t at, off_t length),
              (descriptor, how, at, length))

#define ON_PATH(name, kind, declared, given, folder, path) \
    int name declared { return strikes_at(#name, folder, path, kind) ? -1 : REAL(name) given; }
/* Of a folder that is there, asking for it again changes nothing. */
#define MKDIR(name, declared, given, folder, path) \
    int name declared { \
        int is_new = faccessat(folder, path, F_OK, 0) && errno == ENOENT; \
        return is_new && strikes_at(#name, folder, path, TAKES_ROOM) ? -1 : REAL(name) given; \
    }
MKDIR(mkdir, (const char *path, mode_t rights), (path, rights), AT_FDCWD, path)
MKDIR(mkdirat, (int folder, const char *path, mode_t rights), (folder, path, rights), folder, path)

ON_PATH(rename, KEEPS_ROOM, (const char *from, const char *to), (from, to), AT_FDCWD, to)
ON_PATH(renameat, KEEPS_ROOM, (int there, const char *from, int here, const char *to),
        (there, from, here, to), here, to)
ON_PATH(renameat2, KEEPS_ROOM,
        (int there, const char *from, int here, const char *to, unsigned how),
        (there, from, here, to, how), here, to)
ON_PATH(unlink, REMOVES, (const char *path), (path), AT_FDCWD, path)
ON_PATH(unlinkat, REMOVES, (int folder, const char *path, int how), (folder, path, how), folder,
        path)
ON_PATH(rmdir, REMOVES, (const char *path), (path), AT_FDCWD, path)
