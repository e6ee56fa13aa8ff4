// Captures: the file read back block by block, by its format's rules; filters; limits; full rings.
#include "dataplane/tcpip/pcapng.h"

#include "tests/lib/mr_test.h"
#include "tests/lib/netpkt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];

static struct mr_capture_file *capture_open(struct mr_capture_options o)
{
	struct mr_capture_file *f;

	snprintf(path, sizeof(path), "/tmp/mr-capture-%d.pcapng", (int)getpid());
	unlink(path);
	o.path = path;
	assert_int_equal(mr_capture_open(&o, &f), 0);
	return f;
}

// ---- a reader, written from the format's text

struct packet {
	uint32_t lane, snap, bytes, flags;
	uint64_t ns;
	const uint8_t *data;
};

static uint8_t file[8 << 20];
static struct packet packets[20000];
static uint32_t packets_count, interfaces_count, snaplen;

static uint32_t option(struct mr_reader r, uint16_t want, const uint8_t **data)
{
	for (;;) {
		uint16_t code = mr_read_le16(&r), bytes = mr_read_le16(&r);
		const uint8_t *p = mr_read_bytes(&r, mr_round_up(bytes, 4));

		assert_false(r.bad);
		*data = p;
		if (code == want)
			return bytes;
		if (code == 0)
			return UINT32_MAX;
	}
}

static void read_packet(struct mr_reader b)
{
	struct packet *p = &packets[packets_count++];
	const uint8_t *flags;

	p->lane = mr_read_le32(&b);
	p->ns = (uint64_t)mr_read_le32(&b) << 32;
	p->ns |= mr_read_le32(&b);
	p->snap = mr_read_le32(&b);
	p->bytes = mr_read_le32(&b);
	p->data = mr_read_bytes(&b, mr_round_up(p->snap, 4));
	assert_non_null(p->data);
	assert_true(p->lane < interfaces_count);
	assert_int_equal(option(b, 2, &flags), 4);
	p->flags = mr_load_le32(flags);
}

static void read_interface(struct mr_reader b)
{
	const uint8_t *v;

	assert_int_equal(mr_read_le16(&b), 1);
	mr_read_le16(&b);
	snaplen = mr_read_le32(&b);
	assert_int_equal(option(b, 9, &v), 1);
	assert_int_equal(v[0], 9);
	interfaces_count++;
}

static void read_file(void)
{
	FILE *f = fopen(path, "rb");
	struct mr_reader r;

	assert_non_null(f);
	r = mr_reader(mr_span(file, fread(file, 1, sizeof(file), f)));
	fclose(f);
	packets_count = interfaces_count = 0;
	assert_int_equal(mr_load_le32(r.at), 0x0a0d0d0a);
	assert_int_equal(mr_load_le32(r.at + 8), 0x1a2b3c4d);
	while (mr_read_left(&r) > 0) {
		uint32_t type = mr_read_le32(&r), bytes = mr_read_le32(&r);
		const uint8_t *body = mr_read_bytes(&r, bytes - 12);

		assert_non_null(body);
		assert_int_equal(bytes % 4, 0);
		assert_int_equal(mr_read_le32(&r), bytes);
		if (type == 1)
			read_interface(mr_reader(mr_span(body, bytes - 12)));
		else if (type == 6)
			read_packet(mr_reader(mr_span(body, bytes - 12)));
	}
	unlink(path);
}

static uint32_t tcp_frame(uint8_t *out, const char *src, const char *dst, uint16_t port)
{
	struct netpkt_tcp t = {.src_port = 5555, .dst_port = port, .flags = NP_ACK};
	struct mr_mac nobody = {{0}};
	struct mr_ip from, to;
	struct netpkt p;
	uint8_t l4[64];

	assert_int_equal(mr_ip_parse(src, &from), 0);
	assert_int_equal(mr_ip_parse(dst, &to), 0);
	p = netpkt_ip(nobody, nobody, &from, &to, MR_IP_TCP);
	p.l4 = l4;
	p.l4_bytes = netpkt_tcp(l4, &t);
	return netpkt_build(out, &p);
}

// ---- tests

static void capture_holds_what_was_seen(void **)
{
	struct mr_capture_file *f = capture_open((struct mr_capture_options){
		.lanes = 3, .snap_bytes = 100, .wall_minus_ns = 1700000000000000000});
	uint8_t data[1500];

	for (uint32_t i = 0; i < 300; i++) {
		memset(data, (int)i, sizeof(data));
		mr_capture_frame(mr_capture_lane(f, i % 3), i, data, i + 14, i & 1);
	}
	assert_null(mr_capture_lane(f, 3));
	mr_capture_close(f);
	read_file();
	assert_int_equal(interfaces_count, 3);
	assert_int_equal(snaplen, 100);
	assert_int_equal(packets_count, 300);
	for (uint32_t i = 0; i < 300; i++) {
		const struct packet *p = &packets[i];
		uint32_t k = (uint32_t)(p->ns - 1700000000000000000u);

		assert_int_equal(p->lane, k % 3);
		assert_int_equal(p->bytes, k + 14);
		assert_int_equal(p->snap, MR_MIN(k + 14, 100));
		assert_int_equal(p->flags & 3, k & 1 ? 2 : 1);
		assert_int_equal(p->data[p->snap - 1], (uint8_t)k);
	}
}

static void full_ring_loses_and_counts_but_never_tears(void **)
{
	struct mr_capture_file *f = capture_open(
		(struct mr_capture_options){.snap_bytes = 1500, .ring_bytes = 128 << 10});
	struct mr_capture *c = mr_capture_lane(f, 0);
	uint64_t frames, lost;
	uint8_t data[1500];

	for (uint32_t i = 0; i < 5000; i++) {
		memset(data, (int)i, sizeof(data));
		mr_capture_frame(c, i, data, 20 + i * 7 % 1480, false);
		if (i % 50 == 0)
			usleep(500);
	}
	frames = mr_capture_counters(f)->frames;
	lost = mr_capture_counters(f)->lost;
	assert_int_equal(frames + lost, 5000);
	mr_capture_close(f);
	read_file();
	assert_int_equal(packets_count, frames);
	for (uint32_t i = 0; i < packets_count; i++) {
		uint32_t k = (uint32_t)packets[i].ns;

		assert_int_equal(packets[i].bytes, 20 + k * 7 % 1480);
		for (uint32_t b = 0; b < packets[i].snap; b++)
			if (packets[i].data[b] != (uint8_t)k)
				fail_msg("frame %u is torn at byte %u", k, b);
	}
}

static void wait_stopped(struct mr_capture_file *f)
{
	for (int i = 0; i < 60000 && !mr_capture_counters(f)->stopped; i++)
		usleep(1000);
	assert_true(mr_capture_counters(f)->stopped);
}

static void limits_end_a_capture(void **)
{
	struct mr_capture_file *f = capture_open((struct mr_capture_options){.frames_max = 10});
	uint8_t data[60] = {0};

	for (int i = 0; i < 100; i++)
		mr_capture_frame(mr_capture_lane(f, 0), i, data, sizeof(data), false);
	wait_stopped(f);
	mr_capture_close(f);
	read_file();
	assert_int_equal(packets_count, 10);
	f = capture_open((struct mr_capture_options){.bytes_max = 2000});
	for (int i = 0; i < 100; i++)
		mr_capture_frame(mr_capture_lane(f, 0), i, data, sizeof(data), false);
	wait_stopped(f);
	assert_true(mr_capture_counters(f)->bytes <= 2000);
	mr_capture_close(f);
	read_file();
	assert_true(packets_count > 10);
}

static void filter_knows_hosts_and_ports(void **)
{
	static const struct {
		const char *src, *dst;
		uint16_t port;
		const char *host;
		uint16_t want;
		bool match;
	} cases[] = {
		{"10.0.0.1", "10.0.0.2", 9092, "10.0.0.1", 0, true},
		{"10.0.0.1", "10.0.0.2", 9092, "10.0.0.2", 9092, true},
		{"10.0.0.1", "10.0.0.2", 9092, "10.0.0.2", 5555, true},
		{"10.0.0.1", "10.0.0.2", 9092, "10.0.0.2", 9093, false},
		{"10.0.0.1", "10.0.0.2", 9092, "10.0.0.3", 0, false},
		{"10.0.0.1", "10.0.0.2", 9092, "fd00::1", 0, false},
		{"fd00::1", "fd00::2", 9092, "fd00::2", 9092, true},
		{"fd00::1", "fd00::2", 9092, "fd00::3", 9092, false},
		{"fd00::1", "fd00::2", 9092, NULL, 9092, true},
		{"fd00::1", "fd00::2", 9092, NULL, 1, false},
	};
	uint8_t frame[NETPKT_MAX];

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
		uint32_t bytes = tcp_frame(frame, cases[i].src, cases[i].dst, cases[i].port);
		struct mr_ip host = {{0}};

		if (cases[i].host)
			assert_int_equal(mr_ip_parse(cases[i].host, &host), 0);
		assert_int_equal(mr_capture_matches(&host, cases[i].want, mr_span(frame, bytes)),
			cases[i].match);
		for (uint32_t cut = 0; cut < bytes; cut++) // no cut is read past
			mr_capture_matches(&host, 1, mr_span(frame, cut));
	}
}

static void file_that_is_there_is_left_alone(void **)
{
	struct mr_capture_options o = {.path = "/dev/null"};
	struct mr_capture_file *f;

	assert_int_equal(mr_capture_open(&o, &f), -EEXIST);
	o.path = "/nowhere/x.pcapng";
	assert_int_equal(mr_capture_open(&o, &f), -ENOENT);
	o.lanes = 1000;
	assert_int_equal(mr_capture_open(&o, &f), -EINVAL);
}

// Another program's judgement, where it is installed.
static void tshark_reads_it(void **)
{
	struct mr_capture_file *f;
	char command[200], line[256] = "";
	uint8_t frame[NETPKT_MAX];
	FILE *pipe;

	if (system("command -v tshark >/dev/null 2>&1") != 0)
		skip();
	f = capture_open((struct mr_capture_options){.interface = "net_tap0", .snap_bytes = 2000});
	mr_capture_frame(mr_capture_lane(f, 0), 1700000000123456789, frame,
		tcp_frame(frame, "10.0.0.1", "10.0.0.2", 9092), true);
	mr_capture_close(f);
	snprintf(command, sizeof(command),
		"tshark -r %s -T fields -e frame.time_epoch -e ip.src -e tcp.dstport "
		"-e frame.interface_name -e frame.packet_flags_direction 2>/dev/null",
		path);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_non_null(fgets(line, sizeof(line), pipe));
	pclose(pipe);
	unlink(path);
	assert_string_equal(line, "1700000000.123456789\t10.0.0.1\t9092\tnet_tap0\t0x00000002\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capture_holds_what_was_seen),
		cmocka_unit_test(full_ring_loses_and_counts_but_never_tears),
		cmocka_unit_test(limits_end_a_capture),
		cmocka_unit_test(filter_knows_hosts_and_ports),
		cmocka_unit_test(file_that_is_there_is_left_alone),
		cmocka_unit_test(tshark_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
