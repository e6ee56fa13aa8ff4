// A main for fuzz targets built without libFuzzer: replays every file of the corpus folders given,
// then a bounded number of seeded mutations of them, so that every run of the tests goes over the
// same inputs and a few thousand neighbours. FUZZ_SEED and FUZZ_RUNS change the second part.
#include "host/base/rand.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { CORPUS_MAX = 4096, INPUT_BYTES_MAX = 1 << 20, RUNS_DEFAULT = 3000 };

static struct input {
	uint8_t *data;
	size_t bytes;
} corpus[CORPUS_MAX];

static size_t corpus_count;

// The input lives in memory of exactly its size, so that a sanitizer sees a read past its end.
static void run_one(const uint8_t *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes + !bytes);

	MR_ASSERT(copy);
	if (bytes)
		memcpy(copy, data, bytes);
	LLVMFuzzerTestOneInput(copy, bytes);
	free(copy);
}

static void load_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct input *in = &corpus[corpus_count];

	if (!f || corpus_count == CORPUS_MAX)
		exit(fprintf(stderr, "cannot load %s\n", path) ? 1 : 1);
	in->data = malloc(INPUT_BYTES_MAX);
	MR_ASSERT(in->data);
	in->bytes = fread(in->data, 1, INPUT_BYTES_MAX, f);
	corpus_count++;
	fclose(f);
}

static void load_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	char name[4096];

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		load_file(name);
	}
	closedir(dir);
}

// Flips, overwrites, removes, doubles or splices a piece of an input.
static size_t mutate(struct mr_rand *r, uint8_t *out, size_t bytes, const struct input *other)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\\', '{', '\'', ';', '$'};
	size_t at = bytes ? mr_rand_below(r, bytes) : 0;
	size_t n = 1 + mr_rand_below(r, 16);

	switch (mr_rand_below(r, 6)) {
	case 0:
		if (bytes)
			out[at] ^= (uint8_t)(1u << mr_rand_below(r, 8));
		return bytes;
	case 1:
		if (bytes)
			out[at] = edges[mr_rand_below(r, sizeof(edges))];
		return bytes;
	case 2:
		n = MR_MIN(n, bytes - at);
		memmove(out + at, out + at + n, bytes - at - n);
		return bytes - n;
	case 3:
		n = MR_MIN(n, bytes - at);
		if (bytes + n > INPUT_BYTES_MAX)
			return bytes;
		memmove(out + at + n, out + at, bytes - at);
		return bytes + n;
	case 4: return at;
	default:
		n = mr_rand_below(r, 64);
		n = MR_MIN(n, MR_MIN(other->bytes, bytes - at));
		if (n)
			memcpy(out + at, other->data + mr_rand_below(r, other->bytes - n + 1), n);
		return bytes;
	}
}

static long number_from_env(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? atol(text) : otherwise;
}

int main(int argc, char **argv)
{
	uint64_t seed = (uint64_t)number_from_env("FUZZ_SEED", 1);
	long runs = number_from_env("FUZZ_RUNS", RUNS_DEFAULT);
	uint8_t *work = malloc(INPUT_BYTES_MAX);
	struct mr_rand r;

	MR_ASSERT(work);
	for (int i = 1; i < argc; i++)
		load_folder(argv[i]);
	run_one(NULL, 0);
	for (size_t i = 0; i < corpus_count; i++)
		run_one(corpus[i].data, corpus[i].bytes);
	mr_rand_init(&r, seed);
	for (long i = 0; i < runs && corpus_count; i++) {
		const struct input *in = &corpus[mr_rand_below(&r, corpus_count)];
		const struct input *other = &corpus[mr_rand_below(&r, corpus_count)];
		size_t bytes = in->bytes;

		memcpy(work, in->data, bytes);
		for (uint64_t k = 1 + mr_rand_below(&r, 6); k; k--)
			bytes = mutate(&r, work, bytes, other);
		run_one(work, bytes);
	}
	printf("%zu corpus files, %ld mutations, seed %llu\n", corpus_count,
		corpus_count ? runs : 0, (unsigned long long)seed);
	for (size_t i = 0; i < corpus_count; i++)
		free(corpus[i].data);
	free(work);
	return 0;
}
