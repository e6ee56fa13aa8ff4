// Hash tables of four-tuples: chains through the entries, heads sized at start to at least one per
// entry. The hash multiplies with a secret, so that nobody can choose addresses that collide.
#include "dataplane/tcpip/tcp_int.h"

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint32_t hash_of(const struct mr_tcp_table *t, const struct mr_ip *local,
	uint16_t local_port, const struct mr_ip *peer, uint16_t peer_port)
{
	uint64_t ports = (uint64_t)local_port << 16 | peer_port;
	uint64_t h = fold(mr_load_le64(peer->b) ^ t->key[0], mr_load_le64(peer->b + 8) ^ t->key[1]);

	h ^= fold(mr_load_le64(local->b) ^ t->key[2], mr_load_le64(local->b + 8) ^ t->key[3]);
	return (uint32_t)fold(h ^ ports ^ t->key[1], t->key[0] | 1);
}

static bool is_it(const struct mr_tcp_entry *e, const struct mr_ip *local, uint16_t local_port,
	const struct mr_ip *peer, uint16_t peer_port)
{
	return e->local_port == local_port && e->peer_port == peer_port &&
	       mr_ip_eq(&e->path.peer, peer) && mr_ip_eq(&e->path.local, local);
}

int mr_tcp_table_init(struct mr_tcp_table *t, uint32_t max, uint32_t stride, struct mr_rand *rand,
	enum mr_pages_kind kind, int node)
{
	uint32_t heads = 64;
	int err = mr_tcp_slab_init(&t->slab, max, stride, kind, node);

	if (err < 0)
		return err;
	while (heads < max)
		heads *= 2;
	err = mr_pages_reserve(&t->heads_pages, heads * sizeof(uint32_t), kind, node);
	if (err < 0)
		return err;
	t->heads = (uint32_t *)t->heads_pages.data;
	t->mask = heads - 1;
	for (int i = 0; i < 4; i++)
		t->key[i] = mr_rand_u64(rand);
	return 0;
}

void mr_tcp_table_fini(struct mr_tcp_table *t)
{
	mr_tcp_slab_fini(&t->slab);
	if (t->heads_pages.data)
		mr_pages_release(&t->heads_pages);
}

void *mr_tcp_table_find(const struct mr_tcp_table *t, const struct mr_ip *local,
	uint16_t local_port, const struct mr_ip *peer, uint16_t peer_port)
{
	uint32_t id = t->heads[hash_of(t, local, local_port, peer, peer_port) & t->mask];

	while (id) {
		struct mr_tcp_entry *e = mr_tcp_slab_at(&t->slab, id);

		if (is_it(e, local, local_port, peer, peer_port))
			return e;
		id = e->next;
	}
	return NULL;
}

static uint32_t *head_of(const struct mr_tcp_table *t, const struct mr_tcp_entry *e)
{
	return &t->heads[hash_of(t, &e->path.local, e->local_port, &e->path.peer, e->peer_port) &
			 t->mask];
}

void mr_tcp_table_insert(struct mr_tcp_table *t, struct mr_tcp_entry *e)
{
	uint32_t *head = head_of(t, e);

	e->next = *head;
	*head = mr_tcp_slab_id(&t->slab, e);
}

void mr_tcp_table_remove(struct mr_tcp_table *t, struct mr_tcp_entry *e)
{
	uint32_t *link = head_of(t, e), id = mr_tcp_slab_id(&t->slab, e);

	while (*link != id) {
		MR_ASSERT(*link != 0);
		link = &((struct mr_tcp_entry *)mr_tcp_slab_at(&t->slab, *link))->next;
	}
	*link = e->next;
	e->next = 0;
}
