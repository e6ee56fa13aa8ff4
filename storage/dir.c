// The data directory: lock, format line, and a refusal of what is not ours.
#include "storage/dir.h"

#include "host/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char lock_name[] = "LOCK";
static const char format_name[] = "FORMAT";
static const char format_tmp[] = "FORMAT.tmp";

enum { FORMAT_BYTES_MAX = 64 };

int mr_dir_open(struct mr_disk **out, const char *path, struct mr_diag *diag)
{
	int rc;

	if (mkdir(path, 0700) && errno != EEXIST)
		return mr_diag_set(diag, -errno, "58030", 0, "cannot make directory \"%s\": %s",
			path, strerror(errno));
	rc = mr_disk_real_open(out, path);
	if (rc)
		mr_diag_set(diag, rc, "58030", 0, "cannot open directory \"%s\": %s", path,
			mr_err_text(rc));
	return rc;
}

struct names {
	struct mr_diag *diag;
	bool formatted;
	bool data;
};

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

static int check_name(void *arg, const char *entry)
{
	static const char *const ours[] = {"LOCK", "FORMAT", "FORMAT.tmp", "super", "super.tmp",
		"manifest.0", "manifest.1", "log", "seg", "run", "capture", "lost+found"};
	struct names *n = (struct names *)arg;

	if (!is_one_of(entry, ours, MR_COUNT_OF(ours)))
		return mr_diag_set(n->diag, MR_ERR_FOREIGN, "58030", 0,
			"data directory holds a foreign file \"%s\"", entry);
	n->formatted |= strcmp(entry, format_name) == 0;
	n->data |= strcmp(entry, "super") == 0;
	return 0;
}

static int write_format(struct mr_disk *d)
{
	char line[FORMAT_BYTES_MAX];
	int bytes = snprintf(line, sizeof(line), "millrace %d\n", MR_DIR_FORMAT);
	struct mr_file *f;
	int rc = mr_file_open(d, format_tmp, MR_FILE_WRITE | MR_FILE_CREATE, &f);

	if (rc)
		return rc;
	rc = mr_file_truncate(f, 0);
	if (!rc)
		rc = mr_file_write(f, 0, line, (size_t)bytes);
	if (!rc)
		rc = mr_file_sync(f);
	mr_file_close(f);
	if (!rc)
		rc = mr_disk_rename(d, format_tmp, format_name);
	return rc ? rc : mr_disk_sync_dir(d, ".");
}

static int check_format(struct mr_disk *d, struct mr_diag *diag)
{
	char line[FORMAT_BYTES_MAX] = "";
	struct mr_file *f;
	int version = 0;
	char end;
	int rc = mr_file_open(d, format_name, MR_FILE_READ, &f);

	if (rc)
		return rc;
	rc = mr_file_read(f, 0, line, sizeof(line) - 1);
	mr_file_close(f);
	if (rc < 0)
		return rc;
	if (sscanf(line, "millrace %d%c", &version, &end) != 2 || end != '\n' || version < 1)
		return mr_diag_set(diag, MR_ERR_FOREIGN, "58030", 0,
			"file \"FORMAT\" is not that of a millrace data directory");
	if (version > MR_DIR_FORMAT)
		return mr_diag_set(diag, MR_ERR_VERSION, "XX000", 0,
			"data directory has format %d, this program knows up to %d", version,
			MR_DIR_FORMAT);
	return 0;
}

int mr_dir_init(struct mr_disk *d, struct mr_diag *diag)
{
	struct names n = {diag, false, false};
	int rc;

	if (diag)
		memset(diag, 0, sizeof(*diag));
	// Looked at before locking, so that a foreign directory stays untouched.
	rc = mr_disk_list(d, ".", check_name, &n);
	if (!rc)
		rc = mr_disk_lock(d, lock_name);
	if (rc == MR_ERR_LOCKED)
		return mr_diag_set(
			diag, rc, "55006", 0, "data directory is in use by another millraced");
	if (!rc && !n.formatted && n.data)
		rc = mr_diag_set(diag, MR_ERR_CORRUPT, "XX001", 0, "file \"FORMAT\" is missing");
	if (!rc)
		rc = n.formatted ? check_format(d, diag) : write_format(d);
	if (!rc)
		rc = mr_disk_mkdir(d, "log");
	if (!rc)
		rc = mr_disk_mkdir(d, "seg");
	if (!rc)
		rc = mr_disk_mkdir(d, "run");
	if (!rc)
		rc = mr_disk_sync_dir(d, ".");
	if (rc && diag && !diag->message[0])
		mr_diag_set(diag, rc, "58030", 0, "data directory: %s", mr_err_text(rc));
	return rc;
}

struct cleaning {
	const struct mr_dir_files *files;
	struct mr_buf names; // to remove, each with its NUL
};

static bool is_known(const struct mr_dir_files *f, const char *name)
{
	uint64_t id = strtoull(name + strlen(f->folder) + 1, NULL, 16);
	char known[MR_DIR_NAME_BYTES];

	f->name(id, known);
	return strcmp(known, name) == 0 && f->has(f->owner, id);
}

static int find_orphan(void *arg, const char *entry)
{
	struct cleaning *k = arg;
	size_t at = k->names.bytes;

	mr_buf_printf(&k->names, "%s/%s", k->files->folder, entry);
	mr_buf_u8(&k->names, 0);
	if (k->names.failed)
		return -ENOMEM;
	if (is_known(k->files, (const char *)k->names.data + at))
		k->names.bytes = at;
	return 0;
}

int mr_dir_clean(struct mr_disk *d, const struct mr_dir_files *files)
{
	struct cleaning k = {files, {0}};
	int rc = mr_disk_list(d, files->folder, find_orphan, &k);

	for (size_t at = 0; rc == 0 && at < k.names.bytes;) {
		const char *name = (const char *)k.names.data + at;

		rc = mr_disk_unlink(d, name);
		at += strlen(name) + 1;
	}
	mr_buf_fini(&k.names);
	return rc;
}
