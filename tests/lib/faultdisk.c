// A disk with a volatile cache that loses power: one file in a FUSE mount, to put a loop device on.
//
// Usage: faultdisk --stable FILE --volatile FILE --seed N [--sector BYTES] [--flush-us N]
//	[--lie] MOUNTPOINT
//
// MOUNTPOINT/disk has the bytes of --volatile: what reads see. Writes go there and onto a list; a
// flush applies the list to --stable. SIGUSR1 cuts the power: of the writes on the list a quarter,
// drawn from the seed, is dropped, a quarter torn (any of its sectors may be missing), the rest
// applied; then every operation is EIO, and "cut N" on stdout says that --stable is now what the
// next start would find, and how many writes were on the list. A disk that lies (--lie) answers
// flushes and does nothing. --flush-us makes flushes take that long. The mount ends with SIGTERM.
// File names must be absolute: libfuse leaves the directory.
#define FUSE_USE_VERSION  31
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A write that no flush has made stable yet.
struct pending {
	struct pending *next;
	off_t offset;
	size_t bytes;
	char data[];
};

// One lock over everything: operations come one by one, the power cut from its own thread.
static struct {
	pthread_mutex_t lock;
	int stable_fd, volatile_fd;
	uint64_t seed;
	size_t sector_bytes;
	useconds_t flush_us;
	bool lies, dead;
	struct pending *head, **tail;
} disk = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .stable_fd = -1, .volatile_fd = -1, .sector_bytes = 512};

// splitmix64.
static uint64_t draw(void)
{
	uint64_t x = disk.seed += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

// The harness itself must not fail quietly.
static void put(int fd, const char *data, size_t bytes, off_t offset)
{
	if (pwrite(fd, data, bytes, offset) != (ssize_t)bytes) {
		perror("faultdisk: cannot write an image");
		_exit(1);
	}
}

static void tear(const struct pending *p)
{
	for (size_t at = 0; at < p->bytes; at += disk.sector_bytes) {
		size_t bytes =
			p->bytes - at < disk.sector_bytes ? p->bytes - at : disk.sector_bytes;

		if (draw() % 2)
			put(disk.stable_fd, p->data + at, bytes, p->offset + (off_t)at);
	}
}

// Applies the list in order, whole or as a power cut leaves it. Returns how many there were.
static size_t settle(bool cut)
{
	size_t count = 0;

	for (struct pending *p = disk.head, *next; p; p = next, count++) {
		uint64_t fate = cut ? draw() % 4 : 3;

		next = p->next;
		if (fate == 1)
			tear(p);
		else if (fate > 1)
			put(disk.stable_fd, p->data, p->bytes, p->offset);
		free(p);
	}
	disk.head = NULL;
	disk.tail = &disk.head;
	return count;
}

static void *wait_for_cut(void *)
{
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigwait(&set, &signal);
	pthread_mutex_lock(&disk.lock);
	disk.dead = true;
	printf("cut %zu\n", settle(true));
	fflush(stdout);
	pthread_mutex_unlock(&disk.lock);
	return NULL;
}

static void *op_init(struct fuse_conn_info *, struct fuse_config *config)
{
	static pthread_t thread;

	config->direct_io = 1;
	pthread_create(&thread, NULL, wait_for_cut, NULL);
	return NULL;
}

static int op_getattr(const char *path, struct stat *st, struct fuse_file_info *)
{
	memset(st, 0, sizeof(*st));
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
		return 0;
	}
	if (strcmp(path, "/disk") != 0)
		return -ENOENT;
	if (fstat(disk.volatile_fd, st) < 0)
		return -errno;
	st->st_mode = S_IFREG | 0600;
	return 0;
}

static int op_readdir(const char *, void *buf, fuse_fill_dir_t fill, off_t, struct fuse_file_info *,
	enum fuse_readdir_flags)
{
	fill(buf, "disk", NULL, 0, 0);
	return 0;
}

static int op_open(const char *path, struct fuse_file_info *info)
{
	info->direct_io = 1;
	return strcmp(path, "/disk") == 0 ? 0 : -ENOENT;
}

static int op_read(const char *, char *buf, size_t bytes, off_t offset, struct fuse_file_info *)
{
	ssize_t n;

	pthread_mutex_lock(&disk.lock);
	n = disk.dead ? -EIO : pread(disk.volatile_fd, buf, bytes, offset);
	pthread_mutex_unlock(&disk.lock);
	return (int)n;
}

static int op_write(
	const char *, const char *data, size_t bytes, off_t offset, struct fuse_file_info *)
{
	struct pending *p = malloc(sizeof(*p) + bytes);
	int rc = (int)bytes;

	if (!p)
		return -ENOMEM;
	*p = (struct pending){.offset = offset, .bytes = bytes};
	memcpy(p->data, data, bytes);
	pthread_mutex_lock(&disk.lock);
	if (disk.dead) {
		free(p);
		rc = -EIO;
	} else {
		put(disk.volatile_fd, data, bytes, offset);
		*disk.tail = p;
		disk.tail = &p->next;
	}
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static int op_fsync(const char *, int, struct fuse_file_info *)
{
	int rc;

	// Without the lock: the power may go meanwhile.
	usleep(disk.flush_us);
	pthread_mutex_lock(&disk.lock);
	rc = disk.dead ? -EIO : 0;
	if (rc == 0 && !disk.lies)
		settle(false);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static const struct fuse_operations operations = {
	.init = op_init,
	.getattr = op_getattr,
	.readdir = op_readdir,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
};

static int usage(void)
{
	fprintf(stderr, "usage: faultdisk --stable FILE --volatile FILE --seed N [--sector BYTES] "
			"[--flush-us N] [--lie] MOUNTPOINT\n");
	return 2;
}

static void block_cut(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"stable", 1, NULL, 's'},
		{"volatile", 1, NULL, 'v'}, {"seed", 1, NULL, 'S'}, {"sector", 1, NULL, 'b'},
		{"flush-us", 1, NULL, 'f'}, {"lie", 0, NULL, 'l'}, {0}};
	char *fuse_argv[] = {argv[0], "-f", "-s", NULL, NULL};

	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 's': disk.stable_fd = open(optarg, O_RDWR | O_CLOEXEC); break;
		case 'v': disk.volatile_fd = open(optarg, O_RDWR | O_CLOEXEC); break;
		case 'S': disk.seed = strtoull(optarg, NULL, 10); break;
		case 'b': disk.sector_bytes = strtoull(optarg, NULL, 10); break;
		case 'f': disk.flush_us = (useconds_t)atoi(optarg); break;
		case 'l': disk.lies = true; break;
		default: return usage();
		}
	}
	if (disk.stable_fd < 0 || disk.volatile_fd < 0 || !disk.sector_bytes || optind + 1 != argc)
		return usage();
	disk.tail = &disk.head;
	block_cut();
	fuse_argv[3] = argv[optind];
	return fuse_main(4, fuse_argv, &operations, NULL);
}
